"""`Idempotency-Key`: the same key and body get the same run, another body a 422."""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final
from weakref import WeakValueDictionary

from llm_stream.errors import IdempotencyConflict, InvalidField

MAX_KEYS: Final = 10_000
"""Keys remembered; the oldest are forgotten first."""

MAX_KEY_CHARS: Final = 255


class IdempotencyKeys:
    """Which run each key started. Owner and path are part of a key.

    Args:
        seconds: how long a key is remembered.
        clock: monotonic seconds.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._turns: WeakValueDictionary[tuple[str, str, str], asyncio.Lock] = WeakValueDictionary()
        self._known: OrderedDict[tuple[str, str, str], tuple[float, bytes, str]] = OrderedDict()

    def turn(self, owner: str, path: str, key: str) -> asyncio.Lock:
        """To be held from `find` to `remember`, so that equal keys start one run."""
        held = self._turns.get((owner, path, key))
        if held is None:
            held = self._turns[owner, path, key] = asyncio.Lock()
        return held

    def find(self, owner: str, path: str, key: str, body: bytes) -> str | None:
        """Id of the run that this key started with this body, None if it is new.

        Raises:
            InvalidField: the key is longer than 255 characters.
            IdempotencyConflict: the key was used with another body (the caller's doing).
        """
        if len(key) > MAX_KEY_CHARS:
            raise InvalidField(
                "Idempotency-Key has at most 255 characters.", field="Idempotency-Key"
            )
        known = self._known.get((owner, path, key))
        if known is None or known[0] < self._clock():
            return None
        if known[1] != _digest(body):
            raise IdempotencyConflict(
                "This Idempotency-Key was used with another body. Use a new key.",
                field="Idempotency-Key",
            )
        return known[2]

    def remember(self, owner: str, path: str, key: str, body: bytes, run_id: str) -> None:
        """This key started this run."""
        self._known[owner, path, key] = (self._clock() + self._seconds, _digest(body), run_id)
        while len(self._known) > MAX_KEYS:
            self._known.popitem(last=False)


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()
