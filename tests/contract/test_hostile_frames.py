"""Frames that break RFC 6455 or a limit: the right close code, and nobody else harmed."""

import asyncio
import json
import os
from typing import Any

import aiohttp
import pytest

from llm_stream.testing import Script, ScriptedModel, words
from llm_stream.testing.service import RunningService

from ..frames import BEGIN, BINARY, CLOSE, END, MORE, PING, TEXT, UPGRADE, frame, frames_in
from ..process import resident_bytes
from ..testing.rawhttp import exchange
from ..wire import WsClient, until

LIMIT = 1_048_576
BYE = frame(CLOSE, b"\x03\xe8")


HOSTILE = {
    "a byte over the limit": (frame(TEXT, b"x" * (LIMIT + 1)), 1009),
    "over it in two pieces": (frame(BEGIN, b"x" * LIMIT) + frame(END, b"x"), 1009),
    "2 ** 63 - 1 declared": (frame(BINARY, b"x" * 70_000, declared=2**63 - 1), 1009),
    "2 ** 64 - 1 declared": (frame(TEXT, b"x", declared=2**64 - 1), 1009),
    "a long ping": (frame(PING, b"x" * 126), 1002),
    "a ping in pieces": (frame(0x09, b"x"), 1002),
    "invalid UTF-8": (frame(TEXT, b'"\xff"'), 1007),
    "half a character": (frame(BEGIN, b"\xe2\x82") + frame(END, b""), 1007),
    "an encoded surrogate": (frame(TEXT, b"\xed\xa0\x80"), 1007),
    "RSV1": (frame(TEXT | 0x40, b"{}"), 1002),
    "RSV2": (frame(TEXT | 0x20, b"{}"), 1002),
    "RSV3": (frame(TEXT | 0x10, b"{}"), 1002),
    "a reserved kind": (frame(0x83, b"{}"), 1002),
    "a reserved control": (frame(0x8B), 1002),
    "the end of nothing": (frame(END, b"{}"), 1002),
    "a message in a message": (frame(BEGIN, b"{") + frame(TEXT, b"{}"), 1002),
    "not masked": (frame(TEXT, b"{}", mask=b""), 1002),
    "not masked in the middle": (frame(BEGIN, b"{") + frame(END, b"}", mask=b""), 1002),
    "a ping that is not masked": (frame(PING, mask=b""), 1002),
    "half a close code": (frame(CLOSE, b"\x03"), 1002),
    "a close code of nobody": (frame(CLOSE, b"\x03\xee"), 1002),  # 1006
    "a close code for no code": (frame(CLOSE, b"\x03\xed"), 1002),  # 1005
    "a close reason that is no text": (frame(CLOSE, b"\x03\xe8\xff"), 1007),
}
HARMLESS = {
    "the limit": frame(TEXT, b"x" * LIMIT),
    "the limit in two pieces": frame(BEGIN, b"x" * (LIMIT - 1)) + frame(END, b"x"),
    "100,000 tiny pieces": frame(BEGIN) + frame(MORE, b"x") * 100_000 + frame(END),
    "100,000 empty pieces": frame(BEGIN) + frame(MORE) * 100_000 + frame(END),
    "10,000 pings": frame(PING, b"x" * 125) * 10_000,
    "binary": frame(BINARY, b"{}"),
}


async def said(service: RunningService, sent: bytes) -> list[tuple[int, bytes]]:
    """What the service says to these frames and a close behind them, up to its own close."""
    async with asyncio.timeout(20):
        arrived = await exchange(service, UPGRADE + sent + BYE)
    assert arrived.data.startswith(b"HTTP/1.1 101 ")
    return frames_in(arrived.data.partition(b"\r\n\r\n")[2])


@pytest.mark.parametrize(("sent", "code"), HOSTILE.values(), ids=HOSTILE)
async def test_a_broken_frame_closes_with_its_code(
    service: RunningService, sent: Any, code: Any
) -> None:
    """The last thing said is a close with the code that RFC 6455 has for the fault."""
    kind, payload = (await said(service, sent))[-1]

    assert (kind, int.from_bytes(payload[:2], "big")) == (CLOSE, code)


@pytest.mark.parametrize("sent", HARMLESS.values(), ids=HARMLESS)
async def test_what_is_odd_but_allowed_is_answered(service: RunningService, sent: Any) -> None:
    """Large, cut small, empty or not text: the socket stays open until its client closes it."""
    told = await said(service, sent)

    assert told[-1] == (CLOSE, b"\x03\xe8")
    assert len(told) > 2


async def test_a_binary_message_is_no_command(service: RunningService) -> None:
    """It is answered as what is no JSON: with `malformed_request`."""
    told = await said(service, frame(BINARY, b'{"type": "ping", "id": "1"}'))
    replies = [json.loads(payload) for kind, payload in told if kind == TEXT]

    assert [reply["error"]["code"] for reply in replies[1:]] == ["malformed_request"]


@pytest.mark.slow
async def test_hostile_sockets_harm_nobody_else(
    service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """All at once, three times: a stream beside them is whole, memory stays where it was."""
    model.scripts = [Script(chunks=words(400), delay_seconds=0.001)]
    attacks = [sent for sent, _ in HOSTILE.values()] + list(HARMLESS.values())
    await asyncio.gather(*(said(service, sent) for sent in attacks))  # warms caches and pools
    ws = await WsClient.connect(http, service.url)
    await ws.ask(type="start", id="1", input={"prompt": "x"})
    before = resident_bytes(os.getpid())
    for _ in range(3):
        await asyncio.gather(*(said(service, sent) for sent in attacks))
    grown = resident_bytes(os.getpid()) - before
    events = await ws.end_of("1")

    assert len(events) == 403
    assert grown < 20 * 2**20
    await ws.ws.close()
    await until(lambda: not len(service.parts.sockets))
