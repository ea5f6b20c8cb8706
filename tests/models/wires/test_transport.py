import asyncio
import json
from typing import Any

import pytest

from llm_stream.errors import UpstreamFailed, UpstreamTimedOut
from llm_stream.models.resilience.policy import CONNECT
from llm_stream.models.wires.transport import Outgoing, Transport

from .fakeserver import FakeProvider, Reply, json_reply


def outgoing(provider: FakeProvider, body: bytes | None = b"{}") -> Outgoing:
    """A request for JSON."""
    return Outgoing(f"{provider.url}/x", {"X-Own": "1"}, body, "application/json")


async def test_what_is_sent(transport: Transport, provider: FakeProvider) -> None:
    """The body as it is, with its type, the type that is expected, and no compression."""
    provider.answer(json_reply({}))

    async with transport.send(outgoing(provider, b'{"a":1}'), "m") as upstream:
        assert await upstream.body() == b"{}"

    headers = provider.last.headers
    assert provider.last.body == {"a": 1}
    assert (headers["accept"], headers["content-type"]) == ("application/json", "application/json")
    assert (headers["accept-encoding"], headers["x-own"]) == ("identity", "1")


async def test_proxies_of_the_environment_are_not_used(
    transport: Transport, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable meant for other programs does not get the keys."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    provider.answer(json_reply({}))

    async with transport.send(outgoing(provider, None), "m") as upstream:
        await upstream.body()

    assert len(provider.requests) == 1


async def test_leaving_early_gives_the_connection_up(
    transport: Transport, provider: FakeProvider
) -> None:
    """An answer that is left in the middle ends, and the next one gets a new connection."""
    provider.answer(json_reply({}, end="hold"), json_reply({}))

    async with transport.send(outgoing(provider), "m"):
        pass
    async with asyncio.timeout(1):
        await provider.gone.wait()
    async with transport.send(outgoing(provider), "m") as upstream:
        await upstream.body()

    assert provider.connections == 2


async def test_a_whole_answer_keeps_its_connection(
    transport: Transport, provider: FakeProvider
) -> None:
    """What follows an answer that is whole is read away, so that the line can be used again."""
    provider.answer(json_reply({"x": "y" * 1000}))

    for _ in range(2):
        async with transport.send(outgoing(provider), "m") as upstream:
            upstream.whole = True
        while any(task.get_name() == "drain" for task in asyncio.all_tasks()):
            await asyncio.sleep(0)

    assert provider.connections == 1


async def test_closing_waits_for_nobody(provider: FakeProvider) -> None:
    """A pool that is closed takes what it still reads with it and leaves no task behind."""
    transport = Transport()
    provider.answer(json_reply({}, end="hold"))
    async with transport.send(outgoing(provider), "m") as upstream:
        upstream.whole = True

    await transport.close()

    assert not any(task.get_name() == "drain" for task in asyncio.all_tasks())


async def test_an_answer_in_one_piece_is_bounded(
    transport: Transport, provider: FakeProvider
) -> None:
    """More than 32 MiB are no answer."""
    provider.answer(json_reply(json.dumps("x" * 34_000_000).encode()))

    async with transport.send(outgoing(provider), "m") as upstream:
        with pytest.raises(UpstreamFailed, match="too large"):
            await upstream.body()


async def test_a_connection_that_is_never_made_runs_out_of_time(
    transport: Transport, provider: FakeProvider
) -> None:
    """Name, connection and TLS have one limit, and the error names it."""
    url = provider.url.replace("http:", "https:")
    request = Outgoing(f"{url}/x", {}, b"{}", "application/json", connect_seconds=0.02)

    with pytest.raises(UpstreamTimedOut, match="connect_seconds = 0.02") as caught:
        async with transport.send(request, "m"):
            raise AssertionError

    assert caught.value.field == CONNECT


@pytest.mark.parametrize("end", ["cut", "reset"])
async def test_a_broken_connection_is_the_upstreams(
    end: Any, transport: Transport, provider: FakeProvider
) -> None:
    """A body that ends without its end mark of HTTP is no body."""
    provider.answer(Reply([b"{}"], content_type="application/json", end=end))

    with pytest.raises(UpstreamFailed):
        async with transport.send(outgoing(provider), "m") as upstream:
            await upstream.body()


@pytest.mark.slow
async def test_nothing_is_left_of_a_thousand_faults(
    transport: Transport, provider: FakeProvider
) -> None:
    """After refusals, cuts and answers that were left there is no task and no connection more."""
    replies = [
        json_reply({"error": {"message": "no"}}, status=500),
        json_reply({}, end="cut"),
        json_reply({}, end="reset"),
        Reply([b"x"], content_type="text/html"),
    ]
    before = len(asyncio.all_tasks())

    for turn in range(1000):
        provider.answer(replies[turn % 4])
        with pytest.raises(UpstreamFailed):
            async with transport.send(outgoing(provider), "m") as upstream:
                await upstream.body()
    await transport.close()
    while len(asyncio.all_tasks()) > before:
        await asyncio.sleep(0)

    assert provider.connections <= 1001
