"""Requests known to the byte: answered at once, and in nothing otherwise than the first time."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pytest
from aiohttp import web
from multidict import CIMultiDict
from prometheus_client import CollectorRegistry, Counter

from llm_stream.access.clientfile import ClientRecord, editing, now
from llm_stream.access.clientkey import new_key
from llm_stream.config import ServerSection
from llm_stream.engine.recording import Recording, Said
from llm_stream.engine.replay import Replay
from llm_stream.engine.runinfo import RunInfo
from llm_stream.testing import Script, ScriptedModel, words
from llm_stream.testing.service import RunningService
from llm_stream.web import connection, express, finished
from llm_stream.web.connection import Connection
from llm_stream.web.express import EXPRESS
from llm_stream.web.finished import FinishedStreams
from llm_stream.web.watch import Watch

from ..conftest import StartService
from ..peers import post
from ..redisserver import RedisServer
from ..wire import SSE

BODY = {"prompt": "what is kept"}
ASKED = post(BODY, "application/json")
HEAD, CONTENT = ASKED.partition(b"\r\n\r\n")[0] + b"\r\n\r\n", ASKED.partition(b"\r\n\r\n")[2]
MODELS = b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n"
VOLATILE = {"X-Run-Id", "X-Run-Claim", "X-Request-Id", "Date", "Age", "Cache-Status"}


class Answer(NamedTuple):
    """A response of HTTP."""

    status: int
    headers: CIMultiDict[str]
    body: dict[str, Any]


class Kept:
    """A connection that is kept open, and the bytes that go over it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def read(self) -> Answer:
        """The next answer."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[:-2]
        pairs = (line.partition(": ") for line in head[1:])
        headers = CIMultiDict((name, value) for name, _, value in pairs)
        body = await self.reader.readexactly(int(headers["Content-Length"]))
        return Answer(int(head[0].split()[1]), headers, json.loads(body))

    async def ask(self, data: bytes = ASKED) -> Answer:
        """Send bytes, and read an answer."""
        self.writer.write(data)
        return await self.read()


@asynccontextmanager
async def connected(service: RunningService) -> AsyncIterator[Kept]:
    """A connection to the service."""
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    try:
        yield Kept(reader, writer)
    finally:
        writer.close()
        await writer.wait_closed()


@pytest.fixture
async def kept(service: RunningService) -> AsyncIterator[Kept]:
    """A connection on which the request was answered by the model, then from the cache."""
    async with connected(service) as connection:
        for _ in range(2):
            assert (await connection.ask()).status == 200
        assert given(service) == 0
        yield connection


def given(service: RunningService) -> int:
    """How many answers were given at once."""
    return service.app[EXPRESS].given


async def test_nothing_of_the_answer_is_otherwise(service: RunningService, kept: Kept) -> None:
    """Status, headers and body are those of the usual way, but for names and times."""
    usual = await kept.ask(ASKED.replace(b"Host", b"X-Request-Id: mine\r\nHost"))
    express = await kept.ask()

    assert given(service) == 1
    assert (express.status, usual.status) == (200, 200)
    assert {name.title() for name in express.headers} == {name.title() for name in usual.headers}
    for name in set(usual.headers) - VOLATILE:
        assert express.headers[name] == usual.headers[name]
    assert express.body["id"] == express.headers["X-Run-Id"] != usual.body["id"]
    assert {**express.body, "id": 0} == {**usual.body, "id": 0}
    assert express.headers["Cache-Status"].startswith("llm-stream; hit; ttl=")


async def stream_of(kept: Kept, asked: bytes) -> tuple[CIMultiDict[str], bytes]:
    """Headers and events of a stream, out of its chunks."""
    kept.writer.write(asked)
    head = (await kept.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    assert head[0] == "HTTP/1.1 200 OK"
    events = b""
    while size := int(await kept.reader.readline(), 16):
        events += await kept.reader.readexactly(size)
        assert await kept.reader.readline() == b"\r\n"
    assert await kept.reader.readline() == b"\r\n"
    pairs = (line.partition(": ") for line in head[1:-2])
    return CIMultiDict((name, value) for name, _, value in pairs), events


@pytest.mark.parametrize("script", [Script(), Script(chunks=()), Script(chunks=("a\0b\n\r",))])
async def test_streams_are_the_same_too(
    service: RunningService, model: ScriptedModel, script: Script, http: aiohttp.ClientSession
) -> None:
    """Every event byte for byte, but for the run's id; and each can be read again from there."""
    model.scripts = [script]
    asked = post({"prompt": "to be streamed"})
    async with connected(service) as connection:
        for _ in range(2):
            await stream_of(connection, asked)
        usual, said = await stream_of(
            connection, asked.replace(b"Host", b"X-Request-Id: r\r\nHost")
        )
        express, same = await stream_of(connection, asked)
        again, _ = await stream_of(connection, asked)
    old, new = usual["X-Run-Id"], express["X-Run-Id"]
    async with http.get(
        f"{service.url}/v1/runs/{new}/events", headers={"Last-Event-ID": "1-1", **SSE}
    ) as response:
        rest = await response.read()

    assert given(service) == 2
    assert same.replace(new.encode(), old.encode()) == said
    assert len({old, new, again["X-Run-Id"]}) == 3
    assert rest.partition(b"id: ")[2] == same.split(b"id: ", 2)[2]
    assert {name.title() for name in express} == {name.title() for name in usual}
    for name in set(usual) - VOLATILE:
        assert express[name] == usual[name]


async def test_long_streams_are_written_as_they_are_read(
    service: RunningService, model: ScriptedModel
) -> None:
    """What would not fit into a connection's buffers takes the usual way."""
    model.scripts = [Script(chunks=words(3000), burst=True)]
    async with connected(service) as connection:
        for _ in range(3):
            await stream_of(connection, post({"prompt": "long"}))

    assert given(service) == 0


async def test_what_other_replicas_may_have_to_find_takes_the_usual_way(
    start_service: StartService, redis_server: RedisServer
) -> None:
    """A stream that breaks off is resumed anywhere; a plain answer is whole, or asked again."""
    service = await start_service(redis={"url": redis_server.url})
    async with connected(service) as connection:
        for _ in range(3):
            await stream_of(connection, post(BODY))
        assert given(service) == 0
        for _ in range(2):
            await connection.ask()
        assert given(service) == 1


def test_recordings_that_are_not_asked_for_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """The least recently used first, and written anew when they are asked for again."""
    monkeypatch.setattr(finished, "MAX_BYTES", 1000)
    streams = FinishedStreams()
    replays = [
        Replay(
            RunInfo(f"run_{number}", "generate", "m", "k", "hit"),
            Recording(
                key="k", recipe="generate", model="m", run=f"was_{number}",
                ending={"type": "run.completed"},
                told=Said(
                    ("text.delta",), (0,), (b'"type":"text.delta","text":"%b"}' % (b"x" * 400),)
                ),
            ),
        )
        for number in range(4)
    ]  # fmt: skip
    first = [streams.stream(replay) for replay in replays]

    assert [streams.stream(replay) for replay in replays] == first
    assert len(streams._known) == 1
    assert all(b"run_%d" % number in text for number, text in enumerate(first))


async def test_what_is_told_of_it_is_the_same(
    lines: Any, start_service: StartService, http: aiohttp.ClientSession
) -> None:
    """The run can be found, and log, metrics, cache and account count it."""
    service = await start_service(history={"enabled": True})
    async with connected(service) as connection:
        answers = [await connection.ask() for _ in range(4)]
    async with http.get(f"{service.url}/v1/runs/{answers[-1].body['id']}") as response:
        snapshot = await response.json()
    async with http.get(f"{service.url}/v1/usage") as response:
        usage = await response.json()
    told = [line for line in lines() if line["event"] == "request" and line.get("cache") == "hit"]
    labels = {"method": "POST", "path": "/v1/generate"}
    value = service.parts.metrics.registry.get_sample_value

    assert given(service) == 2
    assert snapshot["text"] == answers[0].body["text"]
    assert [line["run"] for line in told] == [answer.body["id"] for answer in answers[1:]]
    assert told[-1].keys() == told[0].keys()
    assert told[-1]["request"] == answers[-1].headers["X-Request-Id"]
    assert value("llm_stream_http_request_seconds_count", labels) == 4
    assert value("llm_stream_http_responses_total", {**labels, "status": "200"}) == 4
    assert service.parts.cache.counts["hits"] == 3
    assert usage["total"]["cached"] == 3


@pytest.mark.parametrize(
    "pieces",
    [(HEAD, CONTENT), (HEAD, CONTENT[:5], CONTENT[5:]), (HEAD[:20], HEAD[20:], CONTENT)],
    ids=["head first", "body in two", "head in two"],
)
async def test_requests_may_come_in_pieces(
    service: RunningService,
    kept: Kept,
    pieces: tuple[bytes, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As clients send them that write head and body one after the other."""
    monkeypatch.setattr(connection, "HOLD_SECONDS", 60)
    for piece in pieces[:-1]:
        kept.writer.write(piece)
        await arrived(service, kept)
    answer = await kept.ask(pieces[-1])

    assert (answer.status, answer.body["cached"]) == (200, True)
    assert given(service) == (pieces[0] == HEAD)


async def arrived(service: RunningService, kept: Kept) -> None:
    """Until all that was sent has been taken: another connection that came later was answered."""
    await kept.writer.drain()
    async with connected(service) as other:
        await other.ask(MODELS)


async def test_several_in_one_piece_are_answered_in_turn(
    service: RunningService, kept: Kept, model: ScriptedModel
) -> None:
    """Pipelined requests take the usual way, as does all that follows them."""
    other = post({"prompt": "another"}, "application/json")
    model.scripts = [Script(chunks=("other",))]
    kept.writer.write(ASKED + other + ASKED)
    texts = [(await kept.read()).body["text"] for _ in range(3)]
    last = await kept.ask()

    assert texts[0] == texts[2] == last.body["text"] != texts[1] == "other"
    assert given(service) == 0


async def test_one_that_comes_too_early_waits_its_turn(
    service: RunningService, kept: Kept, model: ScriptedModel
) -> None:
    """Whoever does not wait for an answer gets the answers in the order of the requests."""
    model.scripts = [Script(chunks=("slow",))]
    kept.writer.write(post({"prompt": "another"}, "application/json"))
    kept.writer.write(ASKED)

    assert [(await kept.read()).body["text"] for _ in range(2)] == ["slow", "Hello, world."]


async def test_a_new_connection_is_known_as_well(service: RunningService, kept: Kept) -> None:
    """What was learnt on one holds on all; aiohttp sees nothing of it, and serves it later."""
    async with connected(service) as other:
        assert (await other.ask()).body["cached"]
        assert given(service) == 1
        assert (await other.ask(MODELS)).status == 200
        assert (await other.ask()).body["cached"]

    assert given(service) == 2


async def test_an_answer_that_is_gone_is_made_again(
    service: RunningService, kept: Kept, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """An invalidation holds from the next request on."""
    async with http.post(f"{service.url}/v1/cache/invalidate", json={"all": True}) as response:
        assert (await response.json())["dropped"] == 1
    model.scripts = [Script(chunks=("new",))]

    assert (await kept.ask()).body["text"] == "new"


async def test_what_asks_for_more_takes_the_usual_way(service: RunningService, kept: Kept) -> None:
    """Names of requests, keys for asking again, and traces are each request's own."""
    for header in (b"X-Request-Id: mine", b"Idempotency-Key: k", b"traceparent: 00-0-0-0"):
        asked = ASKED.replace(b"Host", header + b"\r\nHost")
        for _ in range(3):
            answer = await kept.ask(asked)
            assert answer.body["cached"]
        if b"mine" in header:
            assert answer.headers["X-Request-Id"] == "mine"

    assert given(service) == 0


async def test_pages_are_told_each_time_that_they_may_read(start_service: StartService) -> None:
    """A listed one is, and no cache takes what others were answered for its own."""
    service = await start_service(server={"allowed_origins": ("http://shop.example",)})
    asked = ASKED.replace(b"Host", b"Origin: http://shop.example\r\nHost")
    async with connected(service) as kept:
        answers = [await kept.ask(asked) for _ in range(3)]
        others = [await kept.ask() for _ in range(3)]

    allowed = [answer.headers.get("Access-Control-Allow-Origin") for answer in answers + others]
    assert allowed == ["http://shop.example"] * 3 + [None] * 3
    assert {answer.headers["Vary"] for answer in answers + others} == {"Origin"}
    assert given(service) == 2


@pytest.mark.parametrize("ending", [b"Connection: close\r\nHost", b"Host"])
async def test_who_closes_is_closed_on(service: RunningService, kept: Kept, ending: bytes) -> None:
    """HTTP/1.0 and `Connection: close` end the connection after the answer."""
    asked = ASKED.replace(b"Host", ending)
    if ending == b"Host":
        asked = asked.replace(b"HTTP/1.1", b"HTTP/1.0")
    for _ in range(2):
        async with connected(service) as other:
            assert (await other.ask(asked)).body["cached"]
            assert await other.reader.read() == b""

    assert given(service) == 0


async def test_while_the_service_drains_it_is_as_without(
    service: RunningService, kept: Kept
) -> None:
    """The usual way decides what may still be answered."""
    service.parts.draining.set()

    assert (await kept.ask()).status == 200
    assert given(service) == 0


async def test_only_so_many_heads_are_remembered(
    service: RunningService, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients whose heads differ each time push out the oldest."""
    monkeypatch.setattr(express, "MAX_HEADS", 2)
    for number in range(3):
        asked = ASKED.replace(b"Host", b"X-Number: %d\r\nHost" % number)
        await kept.ask(asked)
    await kept.ask()

    assert given(service) == 0
    assert (await kept.ask()).body["cached"]
    assert given(service) == 1


async def test_a_body_that_does_not_come_is_late_as_any_other(
    start_service: StartService,
) -> None:
    """It has the time that bodies have, and the answer that says so."""
    service = await start_service(server={"header_seconds": 0.1, "body_seconds": 0.4})
    async with connected(service) as other:
        for _ in range(3):
            await other.ask()
        other.writer.write(HEAD)
        late = await other.read()

    assert (given(service), late.status) == (1, 408)
    assert "body of a request" in late.body["detail"]
    assert late.headers["X-Request-Id"] == late.body["request"]


async def test_a_slow_body_is_waited_for(
    service: RunningService, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who takes long to send it takes the usual way, and is answered the same."""
    monkeypatch.setattr(connection, "HOLD_SECONDS", 0)
    kept.writer.write(HEAD)
    await arrived(service, kept)

    assert (await kept.ask(CONTENT)).body["cached"]
    assert given(service) == 0


async def test_a_bug_here_costs_nobody_an_answer(
    service: RunningService, kept: Kept, monkeypatch: pytest.MonkeyPatch, lines: Any
) -> None:
    """The usual way answers, and the log has a traceback."""

    def broken(*_: Any) -> None:
        raise RuntimeError("the bug")

    monkeypatch.setattr(express, "run_headers", broken)

    assert (await kept.ask()).body["cached"]
    assert "express.crashed" in {line["event"] for line in lines()}


@pytest.mark.parametrize("empty", [b"\r\n\r\n", b"\r\n", b"\n\r\n\r\n"])
async def test_empty_lines_are_no_head(guarded: "Guarded", empty: bytes) -> None:
    """What comes before a request names nobody: without a key there is no answer."""
    asked = ASKED.replace(b"Host", guarded.add())
    await guarded.look()
    async with connected(guarded.service) as other:
        for data in (asked, empty + asked, empty + asked):
            assert (await other.ask(data)).status == 200
    async with connected(guarded.service) as stranger:
        stranger.writer.write(empty + CONTENT)
        stranger.writer.write_eof()
        assert b"200 OK" not in await stranger.reader.read()
    assert given(guarded.service) == 0


async def test_a_body_is_not_taken_for_a_request(service: RunningService, kept: Kept) -> None:
    """Whatever its length says: what is skipped of a refused request is never answered."""
    for before in (b"", b"\r\n\r\n"):
        head = before + b"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: %b\r\n\r\n"
        length = len(head % b"999") - len(before)
        async with connected(service) as other:
            assert (await other.ask(head % str(length).zfill(3).encode())).status == 404
            other.writer.write(ASKED.ljust(length)[:length])
            assert "data" in (await other.ask(MODELS)).body

    assert given(service) == 0


async def test_answers_asked_for_under_other_tags_are_the_same(
    service: RunningService, http: aiohttp.ClientSession
) -> None:
    """And gone with any of their tags."""
    tagged = [
        post({"prompt": "x", "cache": {"tags": [tag]}}, "application/json") for tag in ("a", "b")
    ]
    async with connected(service) as connection:
        for asked in tagged * 3:
            await connection.ask(asked)
        await service.parts.cache.settled()
        before = given(service)
        for asked in tagged:
            assert (await connection.ask(asked)).body["cached"]
        assert given(service) == before + 2
        async with http.post(f"{service.url}/v1/cache/invalidate", json={"tag": "a"}) as response:
            assert (await response.json())["dropped"] == 1
        assert not (await connection.ask(tagged[1])).body["cached"]


class Guarded(NamedTuple):
    """A service that asks for keys."""

    service: RunningService
    file: Path
    look: Callable[[], Awaitable[None]]

    def add(self, **fields: Any) -> bytes:
        """A new client: its line of headers."""
        key = new_key()
        said = {"name": "x", "hash": key.hash, "created_at": now(), **fields}
        with editing(self.file) as clients:
            clients[key.id] = ClientRecord.model_validate(said)
        return b"Authorization: Bearer %b\r\nHost" % key.text.encode()

    def revoke(self) -> None:
        """Revoke all keys."""
        with editing(self.file) as clients:
            for client_id, record in clients.items():
                clients[client_id] = record.model_copy(update={"revoked_at": now()})


@pytest.fixture
async def guarded(start_service: StartService, tmp_path: Path) -> Guarded:
    """A service that asks for keys."""
    file = tmp_path / "clients.toml"
    service = await start_service(auth={"required": True, "clients_file": str(file)})
    return Guarded(service, file, service.parts.access.roster.look)


async def test_a_key_is_asked_for_each_time(guarded: Guarded) -> None:
    """One that is revoked opens nothing any more, known request or not."""
    asked = ASKED.replace(b"Host", guarded.add())
    await guarded.look()
    async with connected(guarded.service) as other:
        statuses = [(await other.ask(asked)).status for _ in range(3)]
        assert given(guarded.service) == 1
        guarded.revoke()
        await guarded.look()
        statuses.append((await other.ask(asked)).status)

    assert statuses == [200, 200, 200, 401]


async def test_each_client_has_its_own_answers(guarded: Guarded, model: ScriptedModel) -> None:
    """The same body of another client is another request."""
    model.scripts = [Script(chunks=("one",)), Script(chunks=("two",))]
    lines = [guarded.add(), guarded.add()]
    await guarded.look()
    async with connected(guarded.service) as other:
        texts = [
            [(await other.ask(ASKED.replace(b"Host", line))).body["text"] for _ in range(3)]
            for line in lines
        ]

    assert texts == [["one"] * 3, ["two"] * 3]
    assert given(guarded.service) == 2


@pytest.mark.parametrize(
    ("before", "after", "status"),
    [
        ({}, {"scopes": ["run:read"]}, 403),
        ({}, {"models": ["other"]}, 403),
        ({}, {"limits": {"runs_per_second": 0.001}}, 429),
    ],
    ids=["scope", "models", "limit"],
)
async def test_what_a_client_may_is_asked_each_time(
    guarded: Guarded, before: dict[str, Any], after: dict[str, Any], status: int
) -> None:
    """Scopes, lists and limits hold as they are now."""
    asked = ASKED.replace(b"Host", guarded.add(**before))
    await guarded.look()
    async with connected(guarded.service) as other:
        for _ in range(3):
            assert (await other.ask(asked)).status == 200
        with editing(guarded.file) as clients:
            for client_id, record in clients.items():
                clients[client_id] = ClientRecord.model_validate(record.model_dump() | after)
        await guarded.look()
        answers = [(await other.ask(asked)).status for _ in range(2)]

    assert answers[-1] == status


async def test_keys_that_begin_to_be_asked_for_are_asked_for(
    start_service: StartService, tmp_path: Path
) -> None:
    """What everybody might have is nobody's without a key from then on."""
    file = tmp_path / "clients.toml"
    service = await start_service(auth={"clients_file": str(file)})
    async with connected(service) as other:
        assert [(await other.ask()).status for _ in range(3)] == [200, 200, 200]
        Guarded(service, file, service.parts.access.roster.look).add()
        await service.parts.access.roster.look()
        assert (await other.ask()).status == 401


class Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def get_write_buffer_size(self) -> int:
        return 0

    def close(self) -> None:
        pass


async def test_a_connection_on_which_nothing_more_is_asked_is_closed() -> None:
    """Though aiohttp has never had a request on it; it is not counted as late."""

    async def never(_request: web.BaseRequest) -> web.Response:
        raise AssertionError("aiohttp has seen a request")

    counters = [Counter(name, "x", registry=CollectorRegistry()) for name in ("late", "stalled")]
    watch = Watch(ServerSection(), *counters)
    connection, wire = Connection(web.Server(never), watch, lambda _: b"answer"), Wire()
    connection.connection_made(wire)
    connection.data_received(ASKED)
    now = asyncio.get_running_loop().time()
    faults = [connection.fault(now + seconds) for seconds in (0, 70, 80)]
    connection.connection_lost(None)

    assert wire.written == b"answer"
    assert faults == [None, None, "unused"]
