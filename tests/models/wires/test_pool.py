"""Connections: made where a URL says, proven by TLS, used again, closed when nobody wants them."""

import asyncio
import gc
import socket
import ssl
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from llm_stream.errors import UpstreamFailed
from llm_stream.models.wires.outgoing import Outgoing
from llm_stream.models.wires.pool import Names, Place, Pool, Target, target_of
from llm_stream.models.wires.transport import Transport

from .fakeserver import FakeProvider, Reply, fake_provider, json_reply


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("http://h/v1/x", Target(Place("h", 80, tls=False), "/v1/x", {"host": "h"})),
        ("https://H.example:8443/a b?alt=sse", Target(
            Place("h.example", 8443, tls=True), "/a%20b?alt=sse", {"host": "h.example:8443"})),
        ("http://[::1]:9/v1", Target(Place("::1", 9, tls=False), "/v1", {"host": "[::1]:9"})),
        ("https://bücher.example/", Target(
            Place("xn--bcher-kva.example", 443, tls=True), "/", {"host": "xn--bcher-kva.example"})),
        ("http://me:pass@h/", Target(Place("h", 80, tls=False), "/", {
            "host": "h", "authorization": "Basic bWU6cGFzcw=="})),
    ],
)  # fmt: skip
def test_what_a_url_means(url: str, target: Target) -> None:
    """Where to connect, what to ask for there, and by which name."""
    assert target_of(url) == target


@pytest.mark.parametrize("url", ["/v1/x", "ftp://h/", "ws://h/", "h:80"])
def test_what_is_no_absolute_url_is_refused(url: str) -> None:
    """Nothing is guessed of it."""
    with pytest.raises(ValueError, match="absolute"):
        target_of(url)


async def ask(transport: Transport, url: str) -> bytes:
    """The body of an answer."""
    request = Outgoing(f"{url}/x", {}, None, "application/json")
    async with transport.send(request, "m") as upstream:
        return await upstream.body()


async def test_connections_are_used_again(provider: FakeProvider) -> None:
    """One after the other takes one; two at once take two, and are both kept."""
    provider.answer(json_reply({}))
    transport = Transport()
    try:
        for _ in range(3):
            await ask(transport, provider.url)
        assert provider.connections == 1
        for _ in range(2):
            await asyncio.gather(ask(transport, provider.url), ask(transport, provider.url))

        assert provider.connections == 2
    finally:
        await transport.close()


async def test_one_that_the_provider_has_closed_is_not_used(provider: FakeProvider) -> None:
    """The next request gets a new one."""
    provider.answer(json_reply({}, end="eof"))
    transport = Transport()
    try:
        for _ in range(2):
            await ask(transport, provider.url)

        assert provider.connections == 2
    finally:
        await transport.close()


async def test_idle_ones_are_closed(provider: FakeProvider) -> None:
    """After their time, and the pool holds no timer then."""
    provider.answer(json_reply({}))
    transport = Transport(Pool(keep_alive_seconds=0.01))
    await ask(transport, provider.url)
    async with asyncio.timeout(5):
        await provider.left.wait()
    await ask(transport, provider.url)

    assert provider.connections == 2
    await transport.close()


async def test_a_name_is_asked_for_once_by_all() -> None:
    """Who leaves takes nobody's answer along, and what was found is kept for a moment."""
    asked: list[str] = []
    found = asyncio.Event()

    async def look_up(host: str, port: int) -> Any:
        asked.append(host)
        await found.wait()
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", port))]

    names = Names(look_up)
    finding = [asyncio.create_task(names.find("h.example", 80)) for _ in range(3)]
    await asyncio.sleep(0)
    finding[0].cancel()
    await asyncio.sleep(0)
    found.set()
    for each in finding[1:]:
        assert (await each)[0][4] == ("192.0.2.1", 80)
    await names.find("h.example", 80)

    assert asked == ["h.example"]


async def test_a_name_without_addresses_is_asked_for_again() -> None:
    """A fault is told to all who wait, and not kept."""
    asked: list[str] = []

    async def look_up(host: str, _: int) -> Any:
        asked.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    names = Names(look_up)
    for _ in range(2):
        with pytest.raises(socket.gaierror):
            await names.find("h.example", 80)

    assert asked == ["h.example"] * 2


async def test_a_look_up_that_failed_leaves_nothing_for_the_collector() -> None:
    """Its error knows where it was raised, and is known by the task."""

    class Unknown(OSError):
        """To be found again."""

    async def look_up(*_: object) -> Any:
        raise Unknown

    names, seen = Names(look_up), []
    gc.disable()
    try:
        try:
            await names.find("h.example", 80)
        except Unknown as error:
            seen.append(weakref.ref(error))
        await asyncio.sleep(0)
        assert seen[0]() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".example"])
async def test_what_is_no_name_has_no_address(host: str) -> None:
    """It is a fault like any other of connecting."""
    with pytest.raises(OSError, match="no name"):
        await Names(look_up_nothing).find(host, 80)


async def look_up_nothing(host: str, _: int) -> Any:
    """Is never called."""
    raise AssertionError(host)


async def test_addresses_are_asked_of_nobody() -> None:
    """They are what a name would be looked up for."""
    assert (await Names(look_up_nothing).find("127.0.0.1", 80))[0][4] == ("127.0.0.1", 80)


async def test_closing_gives_a_name_up() -> None:
    """What still waits for it is cancelled, and no task is left."""

    async def look_up(*_: object) -> Any:
        await asyncio.get_running_loop().create_future()

    names = Names(look_up)
    finding = asyncio.create_task(names.find("h.example", 80))
    await asyncio.sleep(0)
    await names.close()

    with pytest.raises(asyncio.CancelledError):
        await finding


@asynccontextmanager
async def behind_tls(host: str) -> AsyncIterator[tuple[FakeProvider, str, ssl.SSLContext]]:
    """A provider with a certificate for `host`, its URL, and who trusts its authority."""
    authority = trustme.CA()
    served, trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert(host).configure_cert(served)
    authority.configure_trust(trusting)
    async with fake_provider(served) as provider:
        provider.answer(json_reply({"a": 1}))
        yield provider, provider.url.replace("http://127.0.0.1", f"https://{host}"), trusting


async def test_a_provider_proves_its_name() -> None:
    """A trusted authority's certificate for the host of its URL; no key is sent to any other."""
    async with behind_tls("localhost") as (provider, url, trusting):
        named, strange, nameless = [
            Transport(Pool(trust))
            for trust in (lambda: trusting, ssl.create_default_context, lambda: trusting)
        ]
        for _ in range(2):
            assert await ask(named, url) == b'{"a": 1}'
        assert (len(provider.requests), provider.connections) == (2, 1)

        for transport, host in ((strange, "localhost"), (nameless, "127.0.0.1")):
            with pytest.raises(UpstreamFailed, match="does not prove who it is") as caught:
                await ask(transport, url.replace("localhost", host))
            assert host not in str(caught.value)

        assert len(provider.requests) == 2
        for transport in (named, strange, nameless):
            await transport.close()


async def test_a_full_name_is_proven_without_its_dot() -> None:
    """As certificates have it."""

    async def look_up(_: str, port: int) -> Any:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    async with behind_tls("h.example") as (_, url, trusting):
        transport = Transport(Pool(lambda: trusting, look_up=look_up))
        assert await ask(transport, url.replace("h.example", "h.example.")) == b'{"a": 1}'
        await transport.close()


async def test_an_answer_over_tls_that_is_cut_is_no_answer() -> None:
    """The end of the connection is not the end of a body that has one of its own."""
    async with behind_tls("localhost") as (provider, url, trusting):
        provider.answer(Reply([b"{}"], content_type="application/json", end="cut"))
        transport = Transport(Pool(lambda: trusting))
        with pytest.raises(UpstreamFailed, match="broke"):
            await ask(transport, url)
        await transport.close()


def descriptors() -> int:
    """How many files and sockets this process has open."""
    return sum(1 for _ in Path("/dev/fd").iterdir())


TURNS = [0, *(2**power for power in range(13))]
"""Of the loop, up to more than a connection takes."""


@pytest.mark.parametrize(
    "turns",
    [
        *[pytest.param(turns, id=f"uvloop-{turns}") for turns in TURNS],
        *[pytest.param(turns, id=f"{turns}", marks=pytest.mark.asyncio_loop) for turns in TURNS],
    ],
)
async def test_who_gives_up_while_connecting_leaves_no_socket(turns: int) -> None:
    """However far it has come, TLS included; the next one connects."""
    async with behind_tls("localhost") as (_, url, trusting):
        before = descriptors()
        transport = Transport(Pool(lambda: trusting))
        asking = asyncio.create_task(ask(transport, url))
        for _ in range(turns):
            await asyncio.sleep(0)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        assert await ask(transport, url) == b'{"a": 1}'
        await transport.close()
        async with asyncio.timeout(5):
            while descriptors() > before:  # the provider's ends close as well
                await asyncio.sleep(0)
