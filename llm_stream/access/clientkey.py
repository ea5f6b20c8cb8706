"""Client keys: `lls_<id>_<secret>_<checksum>`, shown once, kept as a hash.

The id finds the client, the secret has 256 random bits, and the checksum tells a key that was
copied badly from one that was revoked. A key of so many random bits needs no slow hash.
"""

import hashlib
import hmac
import re
import secrets
import zlib
from typing import Final, NamedTuple

from llm_stream.naming import id_text

ID_CHARS: Final = 8
KEY: Final = re.compile(r"lls_([0-9a-z]{8})_[A-Za-z0-9_-]{43}_[0-9a-f]{8}")
"""The form of a key, also where it stands in other text."""

_NOBODY: Final = hashlib.sha256(b"").hexdigest()


class ClientKey(NamedTuple):
    """A key, and what is kept of it."""

    id: str
    text: str
    hash: str


def new_key() -> ClientKey:
    """A key that nobody has."""
    client_id = id_text(ID_CHARS)
    body = f"lls_{client_id}_{secrets.token_urlsafe(32)}"
    text = f"{body}_{_checksum(body)}"
    return ClientKey(client_id, text, hashed(text))


def client_of(text: str) -> str | None:
    """The id of the client whose key this is, if it is a key at all."""
    found = KEY.fullmatch(text)
    if found is None:
        return None
    body, _, checksum = text.rpartition("_")
    return found[1] if checksum == _checksum(body) else None


def hashed(text: str) -> str:
    """What is kept of a key: its SHA-256, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def is_key(text: str, kept: str | None) -> bool:
    """Whether what is kept was made of this key; None, of a client that is not there, never was.

    Takes as long for a client that is not there.
    """
    return hmac.compare_digest(hashed(text), kept or _NOBODY) and kept is not None


def _checksum(body: str) -> str:
    return f"{zlib.crc32(body.encode()):08x}"
