"""Tickets: what a browser shows instead of a key, once and soon, where it can set no header."""

import base64
import binascii
import hashlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from llm_stream.errors import Unauthenticated
from llm_stream.naming import token

if TYPE_CHECKING:
    from llm_stream.engine.redislog.link import RedisLink

TICKET_SECONDS: Final = 30
"""How long a ticket can be used, once."""

MAX_TICKETS: Final = 100
"""Tickets of one client that are not used yet; its oldest are forgotten first."""


class TicketShelf(Protocol):
    """Where tickets wait, by their hash."""

    async def put(self, name: str, client: str) -> None:
        """Keep the client's id for `TICKET_SECONDS`.

        Raises:
            LogUnavailable: it cannot be kept now.
        """

    async def take(self, name: str) -> str | None:
        """The client's id, given once; None if it is not there.

        Raises:
            LogUnavailable: nobody can tell now.
        """


class MemoryTickets:
    """Tickets of one process.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: dict[str, tuple[float, str]] = {}

    async def put(self, name: str, client: str) -> None:
        """See `TicketShelf`."""
        now = self._clock()
        self._kept[name] = (now + TICKET_SECONDS, client)
        # In the order in which they were made, which is that in which they end.
        while self._kept[oldest := next(iter(self._kept))][0] <= now:
            del self._kept[oldest]
        own = [other for other, (_, whose) in self._kept.items() if whose == client]
        for other in own[:-MAX_TICKETS]:
            del self._kept[other]

    async def take(self, name: str) -> str | None:
        """See `TicketShelf`."""
        until, client = self._kept.pop(name, (0.0, ""))
        return client if until > self._clock() else None


class RedisTickets:
    """Tickets that any replica takes.

    Args:
        link: the Redis all replicas share.
        prefix: begins every key there.
    """

    def __init__(self, link: "RedisLink", prefix: str) -> None:
        self._link = link
        self._prefix = prefix

    async def put(self, name: str, client: str) -> None:
        """See `TicketShelf`."""
        await self._link.ask([("SET", self._key(name), client or "-", "EX", TICKET_SECONDS)])

    async def take(self, name: str) -> str | None:
        """See `TicketShelf`."""
        (client,) = await self._link.ask([("GETDEL", self._key(name))])
        return None if client is None else client.decode().removeprefix("-")

    def _key(self, name: str) -> str:
        return f"{self._prefix}:ticket:{name}"


class Tickets:
    """Gives tickets out and takes them in.

    Args:
        shelf: where they wait.
    """

    def __init__(self, shelf: TicketShelf) -> None:
        self._shelf = shelf

    async def give(self, client: str) -> str:
        """A ticket of this client ("" = everybody), good for one use within 30 s.

        Raises:
            LogUnavailable: it cannot be kept now.
        """
        text = token() + token()
        await self._shelf.put(_hashed(text), client)
        return text

    async def take(self, text: str) -> str:
        """The id of the client who was given this ticket.

        Raises:
            Unauthenticated: it was used, is too old, or never was one (the caller's doing).
            LogUnavailable: nobody can tell now.
        """
        client = await self._shelf.take(_hashed(text)) if len(text) == 40 else None
        if client is None:
            raise Unauthenticated("The ticket was used before, is too old or never was one.")
        return client


def subprotocol(text: str) -> str:
    """The ticket as a WebSocket subprotocol, which a page can ask for."""
    return "ticket." + base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def of_subprotocol(name: str) -> str:
    """The ticket in a subprotocol; "" if there is none."""
    kind, _, coded = name.partition(".")
    if kind != "ticket":
        return ""
    try:
        return base64.urlsafe_b64decode(coded + "=" * (-len(coded) % 4)).decode("ascii")
    except (binascii.Error, ValueError):
        return ""


def _hashed(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()
