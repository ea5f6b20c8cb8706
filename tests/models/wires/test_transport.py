import asyncio
import gzip
import json
import socket
import sys
import zlib
from typing import Any

import pytest

from llm_stream.errors import RateLimited, UpstreamFailed, UpstreamRejected, UpstreamTimedOut
from llm_stream.models.resilience.policy import CONNECT
from llm_stream.models.wires.outgoing import Outgoing
from llm_stream.models.wires.transport import Transport

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


async def test_nothing_that_was_said_is_kept_for_as_long_as_the_answer_takes(
    transport: Transport, provider: FakeProvider
) -> None:
    """Neither the request, with a copy of its prompt, nor the head of the answer; once only."""
    provider.answer(json_reply({}, headers={"X-Long": "x" * 1000}))
    request = outgoing(provider, b'{"a":1}')
    before = sys.getrefcount(request)
    exchange = transport.send(request, "m")

    async with exchange as upstream:
        assert sys.getrefcount(request) == before
        assert getattr(upstream.read, "__self__").headers == {}  # noqa: B009 - a connection's
        assert await upstream.body() == b"{}"
    with pytest.raises(AttributeError):
        await exchange.__aenter__()


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


@pytest.mark.parametrize(("coding", "window"), [("gzip", 31), ("deflate", 15), ("deflate", -15)])
async def test_what_is_compressed_unasked_is_unpacked(
    coding: str, window: int, transport: Transport, provider: FakeProvider
) -> None:
    """Some gateways do; `deflate` has a frame or, as often, none."""
    packer = zlib.compressobj(wbits=window)
    blocks = [packer.compress(b'{"a":') + packer.flush(zlib.Z_SYNC_FLUSH)]
    blocks.append(packer.compress(b"1}") + packer.flush())
    provider.answer(Reply(blocks, 200, "application/json", {"Content-Encoding": coding}))

    async with transport.send(outgoing(provider), "m") as upstream:
        assert await upstream.body() == b'{"a":1}'


@pytest.mark.parametrize("coding", ["none", "identity", "utf-8"])
async def test_what_is_no_compression_is_left_as_it_is(
    coding: str, transport: Transport, provider: FakeProvider
) -> None:
    """Servers say so to keep what is between from compressing."""
    provider.answer(json_reply({}, headers={"Content-Encoding": coding}))

    async with transport.send(outgoing(provider), "m") as upstream:
        assert await upstream.body() == b"{}"


async def test_what_was_packed_in_parts_is_whole(
    transport: Transport, provider: FakeProvider
) -> None:
    """One gzip member behind the other is one body."""
    body = gzip.compress(b'{"a":') + gzip.compress(b"1}")
    provider.answer(Reply([body], 200, "application/json", {"Content-Encoding": "gzip"}))

    async with transport.send(outgoing(provider), "m") as upstream:
        assert await upstream.body() == b'{"a":1}'


@pytest.mark.parametrize("coding", ["gzip, identity", "identity, gzip"])
@pytest.mark.parametrize("rest", [bytes(8), b"\r\n"])
async def test_what_fills_a_packed_body_up_is_nothing(
    coding: str, rest: bytes, transport: Transport, provider: FakeProvider
) -> None:
    """Some servers pad, in the same block or behind it; and `identity` is no coding."""
    body = gzip.compress(b"{}")
    for blocks in ([body + rest], [body, rest]):
        provider.answer(Reply(blocks, 200, "application/json", {"Content-Encoding": coding}))
        async with transport.send(outgoing(provider), "m") as upstream:
            assert await upstream.body() == b"{}"


async def test_a_refusal_that_cannot_be_unpacked_is_one(
    transport: Transport, provider: FakeProvider
) -> None:
    """Its status says what there is to do."""
    headers = {"Content-Encoding": "br", "Retry-After": "7"}
    provider.answer(json_reply({}, 429, headers=headers))

    with pytest.raises(RateLimited) as caught:
        async with transport.send(outgoing(provider), "m"):
            raise AssertionError

    assert caught.value.retry_after_ms == 7000


@pytest.mark.parametrize(
    ("coding", "body", "told"),
    [
        ("br", b"x", "compresses"),
        ("gzip, br", b"x", "compresses"),
        ("gzip", b"no gzip", "unpacked"),
        ("gzip", gzip.compress(b"x" * 100, mtime=0)[:-9], "cut"),
        ("gzip", gzip.compress(bytes(34_000_000), mtime=0), "too large"),
    ],
    ids=["unknown", "two", "other", "half", "much"],
)
async def test_what_cannot_be_unpacked_is_no_answer(
    coding: str, body: bytes, told: str, transport: Transport, provider: FakeProvider
) -> None:
    """An unknown coding, no such coding, half of it, a little that would be much."""
    provider.answer(Reply([body], 200, "application/json", {"Content-Encoding": coding}))

    with pytest.raises(UpstreamFailed, match=told):
        async with transport.send(outgoing(provider), "m") as upstream:
            await upstream.body()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X", "a\r\nY: b"),
        ("X\r\nY", "b"),
        ("", "a"),
        ("X Y", "a"),
        ("Content-Length", "1"),
        ("X", "\udcff"),
    ],
)
async def test_a_header_is_one_line_that_says_nothing_of_the_body(
    name: str, value: str, transport: Transport, provider: FakeProvider
) -> None:
    """What would begin another one, or another request, is never sent."""
    request = Outgoing(f"{provider.url}/x", {name: value}, None, "application/json")

    with pytest.raises(UpstreamFailed, match="no header that can be sent|no text") as caught:
        async with transport.send(request, "m"):
            raise AssertionError

    assert isinstance(caught.value.__cause__, ValueError)
    assert not isinstance(caught.value.__cause__, UnicodeError)  # which has all of the head
    assert provider.connections == 0


async def test_a_configured_header_takes_the_place_of_ours(
    transport: Transport, provider: FakeProvider
) -> None:
    """In whichever case it is written; there are never two of one name."""
    provider.answer(json_reply({}))
    own = {"USER-AGENT": "own", "host": "own.example", "Accept-encoding": "gzip"}
    request = Outgoing(f"{provider.url}/x", own, b"{}", "application/json")
    async with transport.send(request, "m") as upstream:
        await upstream.body()

    headers = provider.last.headers
    assert {name: headers[name] for name in ("user-agent", "host", "accept-encoding")} == {
        "user-agent": "own", "host": "own.example", "accept-encoding": "gzip",
    }  # fmt: skip
    assert len(headers) == provider.last.lines


@pytest.mark.parametrize("body", [None, b"{}"])
async def test_only_what_can_be_asked_twice_is(
    body: bytes | None, transport: Transport, provider: FakeProvider
) -> None:
    """A kept connection that is closed as it is used: a POST may have been paid for."""
    provider.answer(json_reply({}), Reply(end="reset", silent=True), json_reply({}))
    async with transport.send(outgoing(provider), "m") as upstream:
        await upstream.body()

    if body is None:
        async with transport.send(outgoing(provider, None), "m") as upstream:
            assert await upstream.body() == b"{}"
    else:
        with pytest.raises(UpstreamFailed, match="no answer"):
            async with transport.send(outgoing(provider), "m"):
                raise AssertionError

    assert (len(provider.requests), provider.connections) == ((3, 2) if body is None else (2, 1))


async def test_a_refusal_before_all_is_sent_takes_its_connection_along(
    transport: Transport, provider: FakeProvider
) -> None:
    """What follows would stand behind the rest of it."""
    refusing = json_reply({}, 413)
    provider.answer(refusing, json_reply({}))
    provider.refuses_at = 1_000_000
    body = b'"%b"' % (b"x" * 1_100_000)  # which the system takes all of
    with pytest.raises(UpstreamRejected):
        async with transport.send(outgoing(provider, body), "m"):
            raise AssertionError
    async with transport.send(outgoing(provider), "m") as upstream:
        assert await upstream.body() == b"{}"

    assert provider.connections == 2


async def test_nobody_there_is_told_with_the_systems_words(transport: Transport) -> None:
    """Without the address, which callers have nothing to do with."""
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port = bound.getsockname()[1]
    request = Outgoing(f"http://127.0.0.1:{port}/x", {}, None, "application/json")

    with pytest.raises(UpstreamFailed, match="no answer from the provider: [Cc]onnection refused$"):
        async with transport.send(request, "m"):
            raise AssertionError


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
