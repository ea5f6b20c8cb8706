"""The clients of a running service: looked up by key, read again when their file changes."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

from llm_stream.access.clientfile import ClientFileFault, ClientRecord, now, read_clients
from llm_stream.access.clientkey import client_of, is_key
from llm_stream.access.principal import EVERYBODY, Allowance, Principal
from llm_stream.errors import Unauthenticated

LOOK_SECONDS: Final = 1.0
"""How often the file, and what has expired, is looked at."""

log = logging.getLogger(__name__)

Seen = tuple[int, int, int] | None
"""What a file's status tells of its content: time of change in ns, size, inode."""


class Roster:
    """Who has which key.

    Args:
        path: the file of clients.
        required: whether keys are asked for; None: as soon as there are clients, and from then on,
            so that a file that is lost opens nothing.
        shared: whether all clients have their runs and cache entries in common.
        usual: limits of clients that have none of their own.
        clock: the time, which keys expire by.

    Attributes:
        on_gone: called with the id of each client that has lost its key or a scope; with "" when
            keys begin to be asked for.
    """

    def __init__(
        self,
        path: Path,
        *,
        required: bool | None = None,
        shared: bool = False,
        usual: Allowance | None = None,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._path = path
        self._required = required
        self._shared = shared
        self._usual = usual or Allowance()
        self._clock = clock
        self._records: Mapping[str, ClientRecord] = {}
        self._principals: dict[str, Principal] = {}
        self._hashes: dict[str, str] = {}
        self._fault = ""
        self._seen: Seen = None
        self._watching: asyncio.Task[None] | None = None
        self.on_gone: Callable[[str], object] = lambda _client: None

    @property
    def asks_for_keys(self) -> bool:
        """Whether a request needs a key."""
        return bool(self._required)

    def __len__(self) -> int:
        """Clients whose keys hold now."""
        return len(self._principals)

    def load(self) -> None:
        """Read the file. Blocking.

        Raises:
            ClientFileFault: it cannot be understood (the operator's doing).
            OSError: it cannot be read.
        """
        self._seen = _status(self._path)
        self._take(read_clients(self._path))

    def _take(self, records: Mapping[str, ClientRecord]) -> None:
        self._records = records
        if records and self._required is None:
            self._required = True
            self.on_gone("")
        self._settle()

    def _settle(self) -> None:
        """Make principals of those whose keys hold now; tell of those who have lost something."""
        moment, before, hashes = self._clock(), self._principals, self._hashes
        self._hashes = {client_id: record.hash for client_id, record in self._records.items()}
        self._principals = {
            client_id: record.principal(client_id, shared=self._shared, usual=self._usual)
            for client_id, record in self._records.items()
            if record.state(moment) == "active"
        }
        for client_id, principal in before.items():
            after = self._principals.get(client_id)
            rotated = hashes.get(client_id) != self._hashes.get(client_id)
            if after is None or rotated or not principal.scopes <= after.scopes:
                self.on_gone(client_id)

    def of_key(self, text: str) -> Principal:
        """Who has this key.

        Raises:
            Unauthenticated: it is no key, or nobody's now (the caller's doing).
        """
        client_id = client_of(text)
        if client_id is None:
            raise Unauthenticated("This is not a client key, or it was not copied whole.")
        record = self._records.get(client_id)
        held = is_key(text, None if record is None else record.hash)
        principal = self._principals.get(client_id)
        if not held or principal is None:
            raise Unauthenticated("This client key is unknown, expired or revoked.")
        return principal

    def of_client(self, client_id: str) -> Principal:
        """The client of that id, as it is now; everybody for "", where no keys are asked for.

        Raises:
            Unauthenticated: there is none any more (the operator's doing).
        """
        if not client_id and not self.asks_for_keys:
            return EVERYBODY
        principal = self._principals.get(client_id)
        if principal is None:
            raise Unauthenticated("This client key is unknown, expired or revoked.")
        return principal

    async def look(self) -> None:
        """Read the file if it has changed; one that cannot be read changes nothing."""
        seen = await asyncio.to_thread(_status, self._path)
        if seen == self._seen:
            self._settle()
            return
        try:
            records = await asyncio.to_thread(read_clients, self._path)
        except ClientFileFault as error:
            self._seen = seen
            log.error("clients.unreadable: %s", error)  # noqa: TRY400 - no bug of ours
            return
        except OSError as error:
            # It may be read the next time, though the file does not change.
            if self._fault != (fault := str(error)):
                self._fault = fault
                log.error("clients.unreadable: %s", error)  # noqa: TRY400 - no bug of ours
            self._settle()
            return
        self._seen, self._fault = seen, ""
        self._take(records)
        log.info("clients.read: %d", len(self._principals))

    def start(self) -> None:
        """Look once a second from now on."""
        self._watching = asyncio.create_task(self._watch(), name="clients")

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.look()
            except Exception:
                # Whatever it was, keys that are revoked later have to be noticed.
                log.exception("clients.look_failed")

    async def close(self) -> None:
        """Look no more."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)


def _status(path: Path) -> Seen:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
