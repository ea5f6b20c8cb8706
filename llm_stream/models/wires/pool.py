"""Connections to providers, made when they are needed and kept for the next request."""

import asyncio
import socket
import ssl
from base64 import b64encode
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from aiohappyeyeballs import start_connection
from yarl import URL

from llm_stream.models.wires.connection import Connection

KEEP_ALIVE_SECONDS: Final = 60.0
"""How long an idle connection is kept."""

NAME_SECONDS: Final = 10.0
"""How long a name stands for the addresses that were found for it."""

NEXT_ADDRESS_SECONDS: Final = 0.25
"""After how long without an answer the next address is tried beside it (RFC 8305)."""

Addresses = list[tuple[Any, Any, int, str, Any]]
"""What `getaddrinfo` finds."""

LookUp = Callable[[str, int], Coroutine[Any, Any, Addresses]]


@dataclass(frozen=True, slots=True)
class Place:
    """Where connections lead: the host as it is looked up and as TLS has to prove it."""

    host: str
    port: int
    tls: bool


@dataclass(frozen=True, slots=True)
class Target:
    """A URL in the words of a request: where to, the request's target, and its headers."""

    place: Place
    path: str
    headers: Mapping[str, str]


@lru_cache(maxsize=512)
def target_of(url: str) -> Target:
    """What an absolute http or https URL means. Those of a process are few, so they are kept.

    Raises:
        ValueError: it is no such URL.
    """
    parsed = URL(url)
    if parsed.scheme not in ("http", "https") or not parsed.raw_host or parsed.port is None:
        raise ValueError("no absolute URL of HTTP")
    headers = {"host": parsed.host_port_subcomponent or parsed.raw_host}
    if parsed.user is not None:
        said = f"{parsed.user}:{parsed.password or ''}".encode()
        headers["authorization"] = f"Basic {b64encode(said).decode()}"
    place = Place(parsed.raw_host, parsed.port, parsed.scheme == "https")
    return Target(place, parsed.raw_path_qs, headers)


def system_trust() -> ssl.SSLContext:
    """What every provider has to prove: a certificate that the system trusts, for its name.

    Blocking.
    """
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


class Pool:
    """Made anywhere, used on one event loop. There is no limit: what runs at once has its own.

    Args:
        trust: whom TLS believes; called in a thread.
        keep_alive_seconds: how long an idle connection is kept.
        look_up: finds the addresses of a name.
    """

    def __init__(
        self,
        trust: Callable[[], ssl.SSLContext] = system_trust,
        keep_alive_seconds: float = KEEP_ALIVE_SECONDS,
        look_up: LookUp | None = None,
    ) -> None:
        self._trust = trust
        self._trusted: ssl.SSLContext | None = None
        self._trusting = asyncio.Lock()
        self._keep_alive = keep_alive_seconds
        self._open: set[Connection] = set()
        self._idle: dict[Place, dict[Connection, None]] = {}
        self._names = Names(look_up or _look_up)
        self._sweeping: asyncio.TimerHandle | None = None

    def idle(self, place: Place) -> Connection | None:
        """The connection used last of those on which nothing is under way, None = there is none."""
        kept = self._idle.get(place)
        while kept:
            connection, _ = kept.popitem()
            if connection.reusable:
                return connection
            connection.close()
        return None

    async def connect(self, place: Place) -> Connection:
        """A new connection.

        Raises:
            OSError: none can be made: no address, nobody there, no valid certificate.
        """
        context = await self._context() if place.tls else None
        addresses = await self._names.find(place.host, place.port)
        # uvloop tries one address after the other, and an IPv6 that leads nowhere is common.
        found = await start_connection(
            addresses, happy_eyeballs_delay=NEXT_ADDRESS_SECONDS, interleave=1
        )
        connection = Connection(self._open.discard)
        self._open.add(connection)
        try:
            await asyncio.get_running_loop().create_connection(
                lambda: connection,
                sock=found,
                ssl=context,
                # A certificate never has the dot that ends a full name.
                server_hostname=place.host.rstrip(".") if place.tls else None,
            )
        except BaseException:
            # Its transport first: it may have one, which would keep the number of what is closed.
            connection.close()
            self._open.discard(connection)
            found.close()
            raise
        return connection

    async def _context(self) -> ssl.SSLContext:
        async with self._trusting:
            if self._trusted is None:
                self._trusted = await asyncio.to_thread(self._trust)
            return self._trusted

    def put_back(self, place: Place, connection: Connection) -> None:
        """Keep a connection for the next request, or close it if it cannot be used again."""
        if not connection.reusable:
            connection.close()
            return
        loop = asyncio.get_running_loop()
        connection.idle_since = loop.time()
        self._idle.setdefault(place, {})[connection] = None
        if self._sweeping is None:
            self._sweeping = loop.call_later(self._keep_alive, self._sweep)

    def _sweep(self) -> None:
        """Close what has been idle for too long, and what its provider has closed."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        oldest = now
        for kept in self._idle.values():
            for connection in list(kept):
                if now - connection.idle_since >= self._keep_alive or not connection.reusable:
                    del kept[connection]
                    connection.close()
                else:
                    oldest = min(oldest, connection.idle_since)
        self._idle = {place: kept for place, kept in self._idle.items() if kept}
        self._sweeping = (
            loop.call_at(oldest + self._keep_alive, self._sweep) if self._idle else None
        )

    async def close(self) -> None:
        """Close every connection; those in use break. For good only if nothing is sent again."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        self._idle.clear()
        for connection in list(self._open):
            connection.close()
        await self._names.close()
        await asyncio.sleep(0)  # in which they are told


class Names:
    """Addresses of hosts: asked for once by all who want them at once, and kept for a moment.

    Args:
        look_up: finds the addresses of a name.
    """

    def __init__(self, look_up: LookUp) -> None:
        self._look_up = look_up
        self._asked: dict[tuple[str, int], tuple[float, asyncio.Task[Addresses]]] = {}

    async def find(self, host: str, port: int) -> Addresses:
        """Addresses of a name, or of an address itself.

        Raises:
            OSError: it has none.
        """
        try:
            return socket.getaddrinfo(
                host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
            )
        except socket.gaierror:
            pass  # a name
        except UnicodeError as error:
            raise OSError("no name that can be looked up") from error
        loop = asyncio.get_running_loop()
        now = loop.time()
        asked = self._asked.get((host, port))
        if asked is None or (asked[1].done() and asked[0] < now):
            asked = (now + NAME_SECONDS, loop.create_task(self._look_up(host, port)))
            asked[1].add_done_callback(self._answered)
            self._asked[host, port] = asked
        try:
            # Whoever leaves takes nobody's answer along.
            return await asyncio.shield(asked[1])
        finally:
            del asked  # its error has this frame in its traceback

    def _answered(self, task: asyncio.Task[Addresses]) -> None:
        """A name without addresses is asked for again by the next who wants it."""
        if task.cancelled() or task.exception() is not None:
            for key in [key for key, (_, asked) in self._asked.items() if asked is task]:
                del self._asked[key]

    async def close(self) -> None:
        """Leave no task behind."""
        tasks = [task for _, task in self._asked.values()]
        self._asked.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _look_up(host: str, port: int) -> Addresses:
    return await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
