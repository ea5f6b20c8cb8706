"""The multiplexed socket: commands, streams, fairness, limits, errors that touch nothing else."""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import aiohttp
import pytest

from llm_stream.events import decoded
from llm_stream.testing import Fault, Script, ScriptedModel, words
from llm_stream.testing.service import RunningService

from ..conftest import StartService
from ..peers import small_socket
from ..wire import WsClient, ended, follow, start_async, turns

STALL = Script(chunks=words(3), fault=Fault(at=1, stall=True))
HI = {"prompt": "hi"}


@pytest.fixture
async def ws(service: RunningService, http: aiohttp.ClientSession) -> AsyncGenerator[Any]:
    """An open socket."""
    client = await WsClient.connect(http, service.url)
    yield client
    await client.ws.close()


async def test_the_welcome_says_what_the_socket_may_do(
    service: RunningService, ws: WsClient
) -> None:
    """The first frame names the connection, the heartbeat and the limits."""
    welcome = ws.others[0]

    assert welcome["conn"].startswith("c_")
    assert welcome["heartbeat_ms"] == 15000
    assert welcome["limits"]["concurrent_runs"] == 8
    assert welcome["limits"]["message_bytes"] == 1_048_576


async def test_start_replies_then_streams_then_ends(ws: WsClient) -> None:
    """One reply with status 202, all events, one end."""
    reply = await ws.ask(type="start", id="1", stream="a", recipe="generate", input=HI)
    events = await ws.end_of("a")

    assert (reply["status"], reply["stream"]) == (202, "a")
    assert json.loads(events[0])["run"] == reply["run"]
    assert json.loads(events[-1])["type"] == "run.completed"


async def test_a_stream_is_named_after_its_start_by_default(ws: WsClient) -> None:
    """Without `stream` the command's id names it."""
    await ws.ask(type="start", id="7", input=HI)

    assert await ws.end_of("7")


async def test_many_streams_run_at_once(
    service: RunningService, ws: WsClient, model: ScriptedModel
) -> None:
    """Eight runs of one socket are under way together."""
    model.scripts = [STALL]
    for number in range(8):
        await ws.ask(type="start", id=str(number), input={"prompt": f"{number}"})
    await turns()

    assert service.parts.registry.live == 8
    assert len(model.calls) == 8


async def test_further_starts_wait_in_order(
    start_service: StartService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """Beyond the connection's slots runs queue visibly; beyond the queue they are refused."""
    service = await start_service(
        limits={"connection_concurrent_runs": 1, "connection_queued_runs": 2}
    )
    model.scripts = [STALL, Script()]
    ws = await WsClient.connect(http, service.url)
    replies = [await ws.ask(type="start", id=str(n), input={"prompt": str(n)}) for n in range(4)]
    assert [r["status"] for r in replies] == [202, 202, 202, 429]
    assert replies[3]["error"]["code"] == "too_many_runs"

    await ws.ask(type="cancel", id="c", run=replies[0]["run"])
    events = [await ws.end_of(str(n)) for n in range(3)]

    queued = [json.loads(e[1]) for e in events[1:]]
    assert [(q["type"], q["position"]) for q in queued] == [("run.queued", 1), ("run.queued", 2)]
    assert [json.loads(e[-1])["type"] for e in events] == [
        "run.cancelled", "run.completed", "run.completed",
    ]  # fmt: skip
    await ws.ws.close()


async def test_starts_sent_together_keep_their_order(
    start_service: StartService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """Without waiting for replies: these come, and runs queue, in the order of the commands."""
    service = await start_service(
        limits={"connection_concurrent_runs": 1, "connection_queued_runs": 18}
    )
    model.scripts = [STALL]
    ws = await WsClient.connect(http, service.url)
    for number in range(20):
        await ws.send(type="start", id=str(number), input={"prompt": str(number)})
    await ws.send(type="ping", id="p")

    await ws.until(lambda: "p" in ws.replies)
    await ws.until(lambda: len(ws.events.get("18", ())) > 1)

    assert list(ws.replies) == [*map(str, range(20)), "p"]
    assert [ws.replies[str(n)]["status"] for n in range(20)] == [202] * 19 + [429]
    queued = [json.loads(ws.events[str(n)][1]) for n in range(1, 19)]
    assert [event["position"] for event in queued] == list(range(1, 19))
    await ws.ws.close()


async def test_a_name_is_given_once_to_starts_sent_together(
    ws: WsClient, model: ScriptedModel
) -> None:
    """The second of that name is refused, unless the first one is."""
    model.scripts = [STALL]
    refused = {"prompt": "x", "model": "nope"}
    for number, (name, asked) in enumerate([("a", HI), ("a", HI), ("b", refused), ("b", HI)]):
        await ws.send(type="start", id=str(number), stream=name, input=asked)
    await ws.until(lambda: "3" in ws.replies)

    assert [ws.replies[str(n)]["status"] for n in range(4)] == [202, 409, 404, 202]


async def test_who_starts_and_leaves_is_obeyed(
    service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """Commands that came before the close are done, in a socket that closes at once."""
    model.scripts = [STALL]
    ws = await WsClient.connect(http, service.url)
    for number in range(3):
        asked = {"prompt": str(number), "on_disconnect": "continue"}
        await ws.send(type="start", id=str(number), input=asked)
    await ws.ws.close()
    while service.parts.sockets:
        await asyncio.sleep(0)

    assert service.parts.registry.live == 3


async def test_one_frame_resumes_many_streams(
    service: RunningService, http: aiohttp.ClientSession, ws: WsClient
) -> None:
    """A subscribe names runs and cursors; each has its own status and goes on behind its cursor."""
    runs = [(await start_async(http, service.url, prompt=str(n)))[0] for n in range(3)]
    reply = await ws.ask(
        type="subscribe",
        id="1",
        streams=[
            {"stream": "a", "run": runs[0], "after": "1-3"},
            {"stream": "b", "run": runs[1]},
            {"stream": "c", "run": "run_nope", "after": "1-1"},
            {"stream": "d", "run": runs[2], "after": "9-9"},
            {"stream": "a", "run": runs[2]},
        ],
    )

    assert [s["status"] for s in reply["streams"]] == [200, 200, 404, 400, 409]
    assert reply["streams"][2]["error"]["code"] == "unknown_run"
    assert reply["streams"][3]["error"]["run"] == runs[2]
    assert [json.loads(e)["id"] for e in await ws.end_of("a")] == ["1-4", "1-5", "1-6", "1-7"]
    assert len(await ws.end_of("b")) == 7


async def test_subscribing_behind_the_end_ends(
    service: RunningService, http: aiohttp.ClientSession, ws: WsClient
) -> None:
    """With the terminal cursor there is nothing but the end, after the reply."""
    run, _ = await start_async(http, service.url, prompt="x")
    events = await follow(http, service.url, run)
    await ws.send(type="subscribe", id="1",
                  streams=[{"stream": "a", "run": run, "after": events[-1].id}])  # fmt: skip

    assert (await ws.step())["type"] == "reply"
    assert await ws.end_of("a") == []


async def test_unsubscribe_leaves_the_stream_not_the_run(
    service: RunningService, http: aiohttp.ClientSession, ws: WsClient, model: ScriptedModel
) -> None:
    """After it nothing more of the stream comes; the run goes on for others."""
    model.scripts = [STALL]
    run, _ = await start_async(http, service.url, prompt="x")
    await ws.ask(type="subscribe", id="1", streams=[{"stream": "a", "run": run}])
    assert (await ws.ask(type="unsubscribe", id="2", stream="a"))["status"] == 200
    again = await ws.ask(type="unsubscribe", id="3", stream="a")
    assert again["error"]["code"] == "unknown_stream"

    held = service.parts.registry.find(run)
    assert not held.done
    assert held.readers == 0


async def test_cancel_ends_the_run_and_closes_the_model(
    service: RunningService, ws: WsClient, model: ScriptedModel
) -> None:
    """The stream's last event is the cancellation; asking again changes nothing."""
    model.scripts = [STALL]
    reply = await ws.ask(type="start", id="1", stream="a", input=HI)
    first = await ws.ask(type="cancel", id="2", run=reply["run"])
    events = await ws.end_of("a")
    second = await ws.ask(type="cancel", id="3", run=reply["run"])

    assert (first["state"], second["state"]) == ("cancelled", "cancelled")
    assert json.loads(events[-1])["reason"] == "requested"
    assert model.calls[0].closed.is_set()


async def test_a_shared_run_survives_one_cancel(
    service: RunningService, http: aiohttp.ClientSession, ws: WsClient, model: ScriptedModel
) -> None:
    """Two sockets started equal runs: the first cancel releases, the second ends."""
    model.scripts = [STALL]
    other = await WsClient.connect(http, service.url)
    one = await ws.ask(type="start", id="1", input=HI)
    two = await other.ask(type="start", id="1", input=HI)
    assert (one["run"], two["cache"]) == (two["run"], "joined")

    released = await ws.ask(type="cancel", id="2", run=one["run"])
    again = await ws.ask(type="cancel", id="3", run=one["run"])

    for reply in (released, again):
        assert (reply["state"], reply["shared"]) == ("running", True)
    assert (await other.ask(type="cancel", id="4", run=two["run"]))["state"] == "cancelled"
    await other.ws.close()


async def test_a_socket_that_is_gone_has_no_claim(
    service: RunningService, http: aiohttp.ClientSession, ws: WsClient, model: ScriptedModel
) -> None:
    """Of two sockets that share a run one goes away: the other one's cancel ends it."""
    model.scripts = [STALL]
    gone = await WsClient.connect(http, service.url)
    await gone.ask(type="start", id="1", input=HI)
    mine = await ws.ask(type="start", id="1", input=HI)
    assert mine["cache"] == "joined"
    await gone.ws.close()
    while len(service.parts.sockets) > 1:
        await asyncio.sleep(0)

    reply = await ws.ask(type="cancel", id="2", run=mine["run"])

    assert (reply["state"], reply["shared"]) == ("cancelled", False)


async def test_a_bug_in_one_command_leaves_the_socket_alone(
    service: RunningService, ws: WsClient, model: ScriptedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is an error reply; a stream beside it goes on to its end."""
    model.scripts = [Script(chunks=words(30), delay_seconds=0.001)]
    await ws.ask(type="start", id="1", stream="a", input=HI)

    def explode(*_args: Any, **_kwargs: Any) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(service.parts.launcher, "launch", explode)
    reply = await ws.ask(type="start", id="2", input={"prompt": "other"})

    assert reply["error"]["code"] == "internal_error"
    assert "secret" not in json.dumps(reply)
    assert len(await ws.end_of("a")) == 33


async def test_ping_is_answered(ws: WsClient) -> None:
    """A ping comes back as a pong with its id."""
    await ws.send(type="ping", id="p")
    await ws.until(lambda: "p" in ws.replies)

    assert ws.replies["p"]["type"] == "pong"


async def test_silence_is_filled_with_heartbeats(
    start_service: StartService, http: aiohttp.ClientSession
) -> None:
    """A socket without traffic gets heartbeat frames."""
    service = await start_service(server={"heartbeat_seconds": 0.05})
    ws = await WsClient.connect(http, service.url)
    await ws.until(lambda: any(f["type"] == "heartbeat" for f in ws.others))
    await ws.ws.close()


BAD_FRAMES = [
    ("nope", "malformed_request", None),
    ("[1]", "malformed_request", None),
    ('{"type":"nonsense","id":"9"}', "malformed_request", None),
    ('{"id":"9"}', "malformed_request", None),
    ('{"type":["start"],"id":"9"}', "malformed_request", None),
    ('{"type":"start","input":{}}', "missing_field", "id"),
    ('{"type":"start","id":"9"}', "missing_field", "input"),
    ('{"type":"start","id":"9","input":{"prompt":"x","foo":1}}', "unknown_field", "input.foo"),
    ('{"type":"start","id":"9","input":{"prompt":""}}', "empty_prompt", "input.prompt"),
    ('{"type":"start","id":"9","input":{"prompt":"x","model":"nope"}}', "unknown_model",
     "input.model"),
    ('{"type":"start","id":"9","recipe":"cook","input":{"prompt":"x"}}', "invalid_field",
     "recipe"),
    ('{"type":"start","id":9,"input":{"prompt":"x"}}', "invalid_field", "id"),
    ('{"type":"cancel","id":"9","run":"run_nope"}', "unknown_run", "run"),
    ('{"type":"unsubscribe","id":"9","stream":"zz"}', "unknown_stream", "stream"),
    ('{"type":"subscribe","id":"9","streams":[]}', "invalid_field", "streams"),
]  # fmt: skip


@pytest.mark.parametrize(("frame", "code", "field"), BAD_FRAMES, ids=lambda v: str(v)[:50])
async def test_a_bad_frame_is_an_error_reply_and_touches_nothing(
    ws: WsClient, model: ScriptedModel, frame: Any, code: Any, field: Any
) -> None:
    """Each bad frame gets one problem; a stream running beside it is not disturbed."""
    model.scripts = [Script(chunks=words(30))]
    await ws.ask(type="start", id="good", stream="g", input=HI)
    await ws.ws.send_str(frame)
    key = "9" if '"id":"9"' in frame and code != "malformed_request" else None
    await ws.until(lambda: key in ws.replies)

    reply = ws.replies[key]
    assert reply["error"]["code"] == code
    assert reply["error"].get("field") in {field, "type"}
    assert reply["status"] == reply["error"]["status"]
    assert len(await ws.end_of("g")) == 33


async def test_binary_frames_are_refused_politely(ws: WsClient) -> None:
    """A binary frame is an error reply."""
    await ws.ws.send_bytes(b"\x00")
    await ws.until(lambda: None in ws.replies)

    assert ws.replies[None]["error"]["code"] == "malformed_request"


async def test_twenty_malformed_frames_close_the_socket(ws: WsClient) -> None:
    """Who does not speak the protocol is closed with 4400."""
    for _ in range(20):
        await ws.ws.send_str("nope")
    with pytest.raises(ConnectionError):
        await ws.until(lambda: False)

    assert ws.ws.close_code == 4400


async def test_ids_and_stream_names_are_used_once(ws: WsClient, model: ScriptedModel) -> None:
    """A duplicate id or stream is an error reply, not a close."""
    model.scripts = [STALL]
    await ws.ask(type="start", id="1", stream="a", input=HI)
    duplicate_stream = await ws.ask(type="start", id="2", stream="a", input=HI)
    assert duplicate_stream["error"]["code"] == "duplicate_id"
    ws.replies.clear()

    duplicate_id = await ws.ask(type="start", id="1", stream="b", input=HI)

    assert duplicate_id["error"]["field"] == "id"


async def test_streams_of_a_socket_are_limited(
    start_service: StartService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """One subscription too many is refused; the others stay."""
    service = await start_service(limits={"connection_streams": 2})
    model.scripts = [STALL]
    run, _ = await start_async(http, service.url, prompt="x")
    ws = await WsClient.connect(http, service.url)
    reply = await ws.ask(
        type="subscribe", id="1", streams=[{"stream": str(n), "run": run} for n in range(3)]
    )

    assert [s["status"] for s in reply["streams"]] == [200, 200, 429]
    assert reply["streams"][2]["error"]["code"] == "too_many_streams"
    await ws.ws.close()


async def test_an_oversized_frame_closes_only_its_socket(
    start_service: StartService, http: aiohttp.ClientSession
) -> None:
    """Over the message limit: 1009; a socket beside it works on."""
    service = await start_service(limits={"message_bytes": 2048})
    big, other = [await WsClient.connect(http, service.url) for _ in range(2)]
    await big.ws.send_str("x" * 5000)
    with pytest.raises(ConnectionError):
        await big.until(lambda: False)

    assert big.ws.close_code == 1009
    assert (await other.ask(type="start", id="1", input=HI))["status"] == 202
    await other.ws.close()


@pytest.mark.parametrize("protocols", [(), ("llm-stream.v1",), ("other", "llm-stream.v1")])
async def test_the_subprotocol_is_optional(
    service: RunningService, http: aiohttp.ClientSession, protocols: Any
) -> None:
    """Absent means v1; offered, v1 is chosen."""
    ws = await WsClient.connect(http, service.url, protocols=protocols)

    assert ws.ws.protocol == ("llm-stream.v1" if protocols else None)
    await ws.ws.close()


async def test_an_unknown_subprotocol_is_refused(
    service: RunningService, http: aiohttp.ClientSession
) -> None:
    """A client that speaks only something else does not get a socket."""
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await http.ws_connect(f"{service.url}/v1/ws", protocols=("graphql-ws",))

    assert caught.value.status == 400


async def test_a_foreign_page_is_refused(
    service: RunningService, http: aiohttp.ClientSession
) -> None:
    """An Origin of another host gets no socket; the close tells why, for a page sees no more."""
    async with http.ws_connect(f"{service.url}/v1/ws", origin="http://evil.example") as ws:
        message = await ws.receive()

    assert (message.type, ws.close_code) == (aiohttp.WSMsgType.CLOSE, 4403)
    assert message.extra == "origin_refused"


async def test_a_drain_closes_when_the_streams_have_ended(
    service: RunningService, http: aiohttp.ClientSession, ws: WsClient, model: ScriptedModel
) -> None:
    """goaway at once, streams to their end, then close 4512; no new runs meanwhile."""
    model.scripts = [STALL]
    reply = await ws.ask(type="start", id="1", stream="a", input=HI)
    service.parts.draining.set()
    service.parts.registry.draining = True
    await ws.until(lambda: any(f["type"] == "goaway" for f in ws.others))
    refused = await ws.ask(type="start", id="2", input={"prompt": "other"})
    assert refused["error"]["code"] == "draining"

    await ws.ask(type="cancel", id="3", run=reply["run"])
    with pytest.raises(ConnectionError):
        await ws.until(lambda: False)

    assert "a" in ws.ended
    assert ws.ws.close_code == 4512


async def test_a_client_that_goes_leaves_its_runs_to_their_policy(
    start_service: StartService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """A closed socket leaves every stream; with no grace the run is abandoned."""
    service = await start_service(runs={"abandon_grace_seconds": 0.0})
    model.scripts = [STALL]
    ws = await WsClient.connect(http, service.url)
    reply = await ws.ask(type="start", id="1", input=HI)
    run = service.parts.registry.find(reply["run"])
    await ws.ws.close()
    await ended(run)

    assert decoded(run.events()[-1])["reason"] == "abandoned"
    assert len(service.parts.sockets) == 0


async def test_a_socket_that_never_reads_is_cut(
    start_service: StartService, model: ScriptedModel
) -> None:
    """After `stall_seconds` without progress the connection is aborted; the run completes."""
    service = await start_service(server={"stall_seconds": 0.2, "send_buffer_bytes": 4096})
    model.scripts = [Script(chunks=("x" * 1000,) * 3000, burst=True)]
    connector = aiohttp.TCPConnector(socket_factory=small_socket)
    async with aiohttp.ClientSession(connector=connector) as http:
        ws = await WsClient.connect(http, service.url)
        reply = await ws.ask(
            type="start", id="1", input={"prompt": "x", "on_disconnect": "continue"}
        )
        run = service.parts.registry.find(reply["run"])
        while service.parts.sockets:
            await asyncio.sleep(0)

        assert run.state == "completed"
        assert service.parts.metrics.registry.get_sample_value("llm_stream_slow_readers_total") == 1
