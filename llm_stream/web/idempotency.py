"""`Idempotency-Key`: the same key and body get the same run, another body a 422."""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final
from weakref import WeakValueDictionary

from llm_stream.engine.idempotency import SharedKeys, conflict
from llm_stream.errors import InvalidField

MAX_KEYS: Final = 10_000
"""Keys remembered; the oldest are forgotten first."""

MAX_KEY_CHARS: Final = 255


class IdempotencyKeys:
    """Which run each key started. Owner and path are part of a key.

    Args:
        seconds: how long a key is remembered.
        clock: monotonic seconds.
        shared: keys that came to other replicas; None: there are none.
    """

    def __init__(
        self,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
        shared: SharedKeys | None = None,
    ) -> None:
        self._seconds = seconds
        self._clock = clock
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._known: OrderedDict[str, tuple[float, str, str]] = OrderedDict()
        self.shared = shared

    @asynccontextmanager
    async def turn(self, owner: str, path: str, key: str, body: bytes) -> AsyncIterator["KeyTurn"]:
        """While the block runs no other call by this key does, so that equal keys start one run.

        Raises:
            InvalidField: the key is longer than 255 characters.
        """
        if len(key) > MAX_KEY_CHARS:
            raise InvalidField(
                "Idempotency-Key has at most 255 characters.", field="Idempotency-Key"
            )
        name = _name_of(owner, path, key)
        lock = self._turns.get(name)
        if lock is None:
            lock = self._turns[name] = asyncio.Lock()
        async with lock:
            turn = KeyTurn(self, name, hashlib.sha256(body).hexdigest())
            try:
                yield turn
            finally:
                turn.close()

    def find(self, name: str, body: str) -> str:
        """Id of the run that this key started in this process, "" if it did not.

        Raises:
            IdempotencyConflict: the key was used with another body (the caller's doing).
        """
        known = self._known.get(name)
        if known is None or known[0] < self._clock():
            return ""
        if known[1] != body:
            raise conflict()
        return known[2]

    def remember(self, name: str, body: str, run_id: str) -> None:
        """This key started this run."""
        self._known[name] = (self._clock() + self._seconds, body, run_id)
        self._known.move_to_end(name)
        while len(self._known) > MAX_KEYS:
            self._known.popitem(last=False)


class KeyTurn:
    """One call by a key, from the question for its run to the answer."""

    def __init__(self, keys: IdempotencyKeys, name: str, body: str) -> None:
        self._keys = keys
        self._name = name
        self._body = body
        self._claim = ""

    async def find(self) -> str:
        """Id of the run that the key has started; "": this call is to start it.

        Raises:
            IdempotencyConflict: the key was used with another body (the caller's doing).
        """
        return self._keys.find(self._name, self._body) or await self.renew("")

    async def renew(self, gone: str) -> str:
        """`find`, where this run is gone, and the key is to start another one."""
        if self._keys.shared is None:
            return ""
        run, self._claim = await self._keys.shared.claim(self._name, self._body, gone)
        return run

    def began(self, run_id: str) -> None:
        """This call has started this run."""
        self._keys.remember(self._name, self._body, run_id)
        if self._keys.shared is not None:
            self._keys.shared.began(self._name, self._claim, run_id)
        self._claim = ""

    def close(self) -> None:
        """The call is over; if it has started nothing, the next one may."""
        if self._keys.shared is not None and self._claim:
            self._keys.shared.free(self._name, self._claim)


def claim_of(owner: str, path: str, key: str) -> str:
    """The claim of all calls by this key: a client that asks again has no second one."""
    return f"claim_{hashlib.sha256(_name_of(owner, path, key).encode()).hexdigest()[:20]}"


def _name_of(owner: str, path: str, key: str) -> str:
    """What the key goes by; clients' words are no names in Redis."""
    parts = [hashlib.sha256(part.encode(errors="surrogatepass")) for part in (owner, path, key)]
    return hashlib.sha256(b"".join(part.digest() for part in parts)).hexdigest()
