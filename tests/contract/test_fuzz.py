"""Whatever a client says, on a socket or as a cursor: an answer that blames it, and no harm."""

import asyncio
import json
import random
from itertools import count, pairwise
from typing import Any

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llm_stream.testing import Script, ScriptedModel, words
from llm_stream.testing.service import RunningService

from ..frames import CLOSE, UPGRADE, frame, frames_in
from ..testing.rawhttp import connect
from ..wire import SSE, WsClient, follow, start_async

pytestmark = pytest.mark.slow

# One service for all examples of a test: what the first ones leave behind, the later ones meet.
fuzz = settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
CLOSES = {1000, 1002, 1007, 1009, 4400}
numbers = count()

# --- cursors

PIECES = st.sampled_from(["0", "1", "2", "7", "8", "-", "--", " ", "+", "99999999999", "now", "٣"])
CURSORS = (
    st.text(max_size=12)
    | st.lists(PIECES, max_size=5).map("".join)
    | st.tuples(st.integers(0, 3), st.integers(0, 9)).map(lambda place: f"{place[0]}-{place[1]}")
)


@fuzz
@given(cursor=CURSORS)
async def test_a_cursor_means_the_same_on_every_wire(
    service: RunningService, http: aiohttp.ClientSession, cursor: Any
) -> None:
    """What was issued gives all that follows it, anything else is refused, alike everywhere."""
    run, _ = await start_async(http, service.url, prompt="x", cache={"mode": "bypass"})
    every = [event.data for event in await follow(http, service.url, run)]
    url = f"{service.url}/v1/runs/{run}/events"
    async with http.get(url, params={"after": cursor}) as response:
        page = await response.json()
        status = response.status
    async with http.get(url, params={"after": cursor}, headers=SSE) as response:
        streamed = response.status
    ws = await WsClient.connect(http, service.url)
    asked = {"stream": "a", "run": run, "after": cursor}
    await ws.send(type="subscribe", id="1", streams=[asked])
    await ws.until(lambda: ws.replies)
    (reply,) = ws.replies.values()  # without an id if the cursor is no text that JSON may have
    on_socket = reply["status"] if "error" in reply else reply["streams"][0]["status"]
    # No `after` at all is the beginning; on a socket an empty one is no cursor.
    known = {f"1-{n}": every[n:] for n in range(1, len(every) + 1)} | {"0": every, "now": []}
    expected = known.get(cursor)

    if expected is None and cursor:
        assert (status, streamed, on_socket) == (400, 400, 400)
        assert page["code"] == "invalid_cursor"
    else:
        expected = every if expected is None else expected
        assert (status, streamed) == (200, 200 if expected else 204)
        assert [event["id"] for event in page["events"]] == [
            json.loads(event)["id"] for event in expected
        ]
    if expected is not None and cursor:
        assert await ws.end_of("a") == expected
    await ws.ws.close()


# --- commands

JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
NAMES = st.sampled_from(["a", "b", "", "x" * 201, "é\n", "\u2028"])
RUNS = st.sampled_from(["run_nope", "", "run_01M8E5J1Q00000000000000000", "../x", "{other}"])
INPUTS = st.fixed_dictionaries(
    {},
    optional={
        "prompt": st.sampled_from(["", "a", "b"]) | JUNK,
        "messages": st.lists(st.fixed_dictionaries({"role": st.just("user"), "content": JUNK})),
        "template": st.sampled_from(["summarize", "../x"]) | JUNK,
        "params": JUNK,
        "schema": JUNK,
        "options": JUNK,
        "cache": st.fixed_dictionaries({"mode": st.sampled_from(["use", "only", "bypass"])}) | JUNK,
        "tags": JUNK,
        "timeouts": JUNK,
    },
)
FIELDS = {
    "id": NAMES | JUNK,
    "stream": NAMES | JUNK,
    "run": RUNS | JUNK,
    "recipe": st.sampled_from(["generate", "evaluate", "breakdown", "reason", "batch"]) | JUNK,
    "input": INPUTS | JUNK,
    "streams": JUNK
    | st.lists(st.fixed_dictionaries({"stream": NAMES, "run": RUNS, "after": CURSORS}), max_size=3),
    "extra": JUNK,
}
COMMANDS = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["start", "subscribe", "unsubscribe", "cancel", "ping"]) | JUNK,
    },
    optional=FIELDS,
)


@fuzz
@given(commands=st.lists(COMMANDS | JUNK | st.text(max_size=20), min_size=1, max_size=12))
async def test_no_command_breaks_a_socket(
    service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel, commands: Any
) -> None:
    """Each is answered, none is the service's fault, and a stream beside them is whole."""
    model.scripts = [Script(chunks=words(20))]
    other, _ = await start_async(http, service.url, prompt="other")
    ws = await WsClient.connect(http, service.url)
    mine = await ws.ask(
        type="start", id="mine", stream="mine",
        input={"prompt": f"{next(numbers)}", "cache": {"mode": "bypass"}},
    )  # fmt: skip
    said: list[dict[str, Any]] = []
    for place, command in enumerate(commands):
        text = command if isinstance(command, str) else json.dumps(command)
        ws.replies.clear()
        await ws.ws.send_str(text.replace("{other}", other))
        await ws.send(type="ping", id=f"ping {place}")
        await ws.until(lambda place=place: f"ping {place}" in ws.replies)
        assert len(ws.replies) > 1, command
        said += [reply for reply in ws.replies.values() if reply["type"] == "reply"]
    events = [json.loads(event) for event in await ws.end_of("mine")]

    assert mine["status"] == 202
    assert all(reply["status"] < 500 for reply in said), said
    assert [event["id"] for event in events] == [f"1-{n}" for n in range(1, 24)]
    assert not ws.ws.closed
    await ws.ws.close()


# --- bytes


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    """One frame, mostly right."""
    first = draw(
        st.sampled_from([0x81, 0x01, 0x00, 0x80, 0x82, 0x88, 0x89, 0x8A]) | st.integers(0, 255)
    )
    payload = draw(
        st.sampled_from([b'{"type":"ping","id":"1"}', b'{"type":"start"', b"", b"\x03\xe8"])
        | st.binary(max_size=140)
    )
    mask = draw(st.sampled_from([b"\0\0\0\0", b"abcd", b"abcd", b""]))
    size = draw(st.sampled_from([len(payload)] * 8 + [0, 125, 65_536, 2**63]))
    return frame(first, payload, mask=mask, declared=size)


@fuzz
@given(
    sent=st.lists(frames() | st.binary(max_size=20), max_size=8).map(b"".join), seed=st.integers()
)
async def test_no_bytes_break_a_socket(
    service: RunningService, http: aiohttp.ClientSession, sent: Any, seed: Any
) -> None:
    """In whatever pieces they come: a close code of the client's doing, others are served."""
    cuts = sorted(random.Random(seed).choices(range(len(sent) + 1), k=3))
    reader, writer = await connect(service)
    writer.write(UPGRADE)
    await reader.readuntil(b"\r\n\r\n")
    for begin, end in pairwise([0, *cuts, len(sent)]):
        writer.write(sent[begin:end])
        await asyncio.sleep(0)
    told = b""
    try:
        if not writer.transport.is_closing():
            writer.write_eof()
        while piece := await reader.read(65_536):
            told += piece
    except OSError:
        pass  # it was closed already
    writer.close()
    codes = {int.from_bytes(said[:2], "big") for kind, said in frames_in(told) if kind == CLOSE}

    assert codes <= CLOSES
    async with http.get(f"{service.url}/livez") as response:
        assert response.status == 200
