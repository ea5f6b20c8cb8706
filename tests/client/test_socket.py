"""One socket for many streams: slow readers, refusals, keys that hold no more."""

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from llm_stream.client import AsyncClient, UnexpectedAnswer, Unreachable
from llm_stream.client.socketfeed import HELD_FRAMES, SocketFeed
from llm_stream.errors import PayloadTooLarge
from llm_stream.testing import Fault, Script, ScriptedModel, words
from llm_stream.testing.service import RunningService

if TYPE_CHECKING:
    from llm_stream.client.wire import Frame


async def test_a_slow_reader_is_left_and_comes_back_later() -> None:
    """What waits for it is bounded; it gets that, and then an end behind which it can resume."""
    left = list[str]()
    feed = SocketFeed("s1", left.append)
    for place in range(HELD_FRAMES + 10):
        feed.put({"id": f"1-{place + 1}"})
    await feed.close()
    held = [frame async for frame in feed.frames()]

    assert left == ["s1"]
    last: Frame = {"id": f"1-{HELD_FRAMES}"}
    assert (len(held), held[-1]) == (HELD_FRAMES, last)


async def test_streams_share_one_socket(service: RunningService, model: ScriptedModel) -> None:
    """However many there are; a reader that does not read holds up no other."""
    model.respond = lambda call: Script(
        chunks=words(HELD_FRAMES + 1000 if call.prompt == "0" else 50)
    )
    more: dict[str, Any] = {"cache": {"mode": "bypass"}}
    async with (
        AsyncClient(service.url, wire="websocket") as client,
        client.generate("0") as slow,
    ):
        texts = await asyncio.gather(
            *(client.generate(str(n), **more).result() for n in range(1, 9))
        )
        assert len(service.parts.sockets) == 1
        assert (await slow.result()).text == "".join(words(HELD_FRAMES + 1000))

    assert {answer.text for answer in texts} == {"".join(words(50))}


async def test_a_command_that_is_too_large_is_not_sent(service: RunningService) -> None:
    """It would cost the socket, and all streams on it."""
    async with AsyncClient(service.url, wire="websocket") as client:
        with pytest.raises(PayloadTooLarge, match="Use SSE"):
            await client.generate("x" * 2_000_000).result()
        assert (await client.generate("Hi").result()).text == "Hello, world."


async def test_a_closed_client_ends_its_streams(
    service: RunningService, model: ScriptedModel
) -> None:
    """They are told that the connection is gone."""
    model.scripts = [Script(chunks=words(3), fault=Fault(at=1, stall=True))]
    client = AsyncClient(service.url, wire="websocket", patience_seconds=0)
    stream = await client.generate("Hi").__aenter__()
    text = stream.text()
    await anext(text)
    waiting = asyncio.create_task(anext(text))
    await asyncio.sleep(0)
    await client.close()

    with pytest.raises(Unreachable):
        await waiting
    await client.close()


@pytest.mark.parametrize("word", ["what?", "{}"])
async def test_a_socket_of_somebody_else_is_closed(word: str) -> None:
    """What does not say welcome is not llm-stream; it is not held open."""
    over = asyncio.Event()

    async def talk(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=["llm-stream.v1"])
        await socket.prepare(request)
        await socket.send_str(word)
        await socket.receive()
        over.set()
        return socket

    app = web.Application()
    app.router.add_get("/v1/ws", talk)
    async with (
        TestServer(app) as server,
        AsyncClient(str(server.make_url("")), wire="websocket") as client,
    ):
        with pytest.raises(UnexpectedAnswer):
            await client.generate("Hi").result()
        await over.wait()


async def test_a_socket_that_is_to_be_left_takes_nothing_new() -> None:
    """Its streams are read to their end; others begin on a new one."""
    sockets = list[web.WebSocketResponse]()

    async def talk(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=["llm-stream.v1"])
        await socket.prepare(request)
        sockets.append(socket)
        await socket.send_json({"type": "welcome", "limits": {"message_bytes": 1000}})
        async for message in socket:
            frame = message.json()
            if frame["type"] == "start":
                run = {"run": "run_1", "stream": frame["stream"]}
                await socket.send_json({"type": "reply", "id": frame["id"], **run})
                for word in ({"type": "goaway", "reconnect_after_ms": 1}, said(frame["stream"])):
                    await socket.send_json(word)
        return socket

    app = web.Application()
    app.router.add_get("/v1/ws", talk)
    async with (
        TestServer(app) as server,
        AsyncClient(str(server.make_url("")), wire="websocket", patience_seconds=0) as client,
        client.generate("a") as first,
    ):
        await anext(first.events())
        async with client.generate("b") as second:
            await anext(second.events())
            assert [socket.closed for socket in sockets] == [False, False]


def said(stream: str) -> dict[str, Any]:
    """A frame with an event, which comes behind what came before."""
    event = {"id": "1-1", "type": "text.delta", "text": "x"}
    return {"stream": stream, "event": event}
