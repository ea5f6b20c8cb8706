"""One socket for many streams: slow readers, refusals, keys that hold no more."""

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from llm_stream.client import AsyncClient, Unreachable
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
