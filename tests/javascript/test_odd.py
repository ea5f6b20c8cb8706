"""What the JavaScript client makes of odd streams, and of services that are none."""

import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from .conftest import Asker, Client

pytestmark = pytest.mark.node

OPENED = ("opened", {"run": "run_1", "cache": "miss"})


def event(place: int, kind: str = "text.delta", epoch: int = 1, **fields: Any) -> tuple[Any, ...]:
    """The wire tells of an event."""
    return ("receive", "", {"id": f"{epoch}-{place}", "t_ms": 0, "type": kind, **fields})


def completed(place: int, text: str, epoch: int = 1) -> tuple[Any, ...]:
    """The end of an answer that was this text."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    return event(place, "run.completed", epoch, text_sha256=digest, usage={}, timings={})


STARTED = event(1, "run.started", recipe="generate", model="m", cache="miss")


@pytest.fixture
def odd(asker: Asker) -> Callable[..., Any]:
    """Reads what a wire tells; the pieces, how it ended, how often the wire was left."""
    client = Client(asker, "http://127.0.0.1:1")

    async def read(*calls: Any, **given: Any) -> tuple[Any, ...]:
        told = await client.ask("told", calls=[OPENED, STARTED, *calls], **given)
        return told["pieces"], (told["how"] or {}).get("code"), told["left"]

    return read


async def test_a_text_that_differs_is_an_error(odd: Any) -> None:
    """After all of it was given, for only then it is known."""
    assert await odd(event(2, text="a"), completed(3, "b")) == (["a"], "text_differs", 0)


async def test_what_comes_twice_is_given_once(odd: Any) -> None:
    """By its cursor; a step's text is no part of the answer."""
    twice = (event(2, text="a"), event(2, text="a"))

    assert await odd(*twice, event(3, text="x", step="s"), completed(4, "a")) == (["a"], None, 0)


@pytest.mark.parametrize(
    "calls",
    [
        pytest.param([event(2, text="a"), ("gap", {"after": "1-2", "first": "1-9"})], id="gap"),
        pytest.param([event(2, text="a"), event(4, text="c")], id="hole"),
    ],
)
async def test_what_is_lost_is_an_error(odd: Any, calls: Any) -> None:
    """And the run is wanted no more."""
    assert await odd(*calls) == (["a"], "events_lost", 1)


async def test_an_end_without_an_end_is_an_error(odd: Any) -> None:
    """A stream that merely stops never looks finished."""
    assert await odd(event(2, text="a"), ("ended",)) == (["a"], "events_lost", 0)


async def test_a_restart_is_told(odd: Any) -> None:
    """By a call if there is one for it, else by an error; not if nothing was given before."""
    restart, end = event(3, "run.restarted", reason="x"), (event(4, text="b"), completed(5, "b"))

    assert await odd(event(2, text="a"), restart, *end) == (["a"], "answer_restarted", 0)
    assert await odd(event(2, text="a"), restart, *end, restarts=True) == (
        ["a", None, "b"],
        None,
        0,
    )
    assert await odd(event(2, "run.restarted"), event(3, text="b"), completed(4, "b")) == (
        ["b"], None, 0,
    )  # fmt: skip


async def test_another_epoch_goes_on(odd: Any) -> None:
    """A replica that took the run over counts from one; the old one's last words are not read."""
    taken = event(1, "run.restarted", 2, reason="owner_lost")
    late, end = event(3, text="late"), (event(2, "text.delta", 2, text="b"), completed(3, "b", 2))

    assert await odd(event(2, text="a"), taken, late, *end, restarts=True) == (
        ["a", None, "b"], None, 0,
    )  # fmt: skip


async def serve(talk: Any, path: str) -> TestServer:
    """Something that answers at a path and is no service."""
    app = web.Application()
    app.router.add_route("*", path, talk)
    server = TestServer(app)
    await server.start_server()
    return server


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [(200, "text/html", "unexpected_answer"), (404, "text/html", "unexpected_answer"),
     (502, "text/html", "unreachable")],
)  # fmt: skip
async def test_what_is_no_service_is_told_apart(
    asker: Asker, status: int, kind: str, code: str
) -> None:
    """From one that is away for a moment, of which a proxy tells."""

    async def talk(_request: web.Request) -> web.Response:
        return web.Response(status=status, text="<p>hello</p>", content_type=kind)

    async with await serve(talk, "/{any:.*}") as server:
        client = Client(asker, str(server.make_url("")), patienceMs=0)
        told = await client.begin("result", body={"prompt": "Hi"})
        called = await client.begin("call", method="models", words=[])

    assert (told["code"], called["code"]) == (code, code)


async def test_a_start_that_was_not_answered_is_the_same_start(asker: Asker) -> None:
    """Sent again by its Idempotency-Key; what the service has refused is sent by another."""
    keys = list[str]()

    async def talk(request: web.Request) -> web.Response:
        keys.append(request.headers["Idempotency-Key"])
        if len(keys) == 1:
            return web.Response(status=502)
        passing = {"title": "", "detail": "", "status": 503, "code": "draining", "retryable": True}
        refusal = passing if len(keys) == 2 else {**passing, "retryable": False}
        return web.json_response(refusal, status=503, content_type="application/problem+json")

    async with await serve(talk, "/v1/generate") as server:
        told = await Client(asker, str(server.make_url(""))).begin("result", body={"prompt": "Hi"})

    assert told["code"] == "draining"
    assert keys[0] == keys[1] != keys[2]


def started(frame: Any) -> list[Any]:
    """A reply, and an event of the run."""
    run = {"run": "run_1", "stream": frame["stream"]}
    said = {"id": "1-1", "type": "text.delta", "text": "x"}
    return [{"type": "reply", "id": frame["id"], **run}, {"stream": frame["stream"], "event": said}]


async def test_a_socket_that_is_to_be_left_takes_nothing_new(asker: Asker) -> None:
    """Its streams are read to their end; others begin on a new one."""
    sockets = list[web.WebSocketResponse]()

    async def talk(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=["llm-stream.v1"])
        await socket.prepare(request)
        sockets.append(socket)
        limits = {"message_bytes": 1000, "streams": 9}
        await socket.send_json({"type": "welcome", "heartbeat_ms": 9000, "limits": limits})
        async for message in socket:
            frame = message.json()
            if frame["type"] == "start":
                goaway = {"type": "goaway", "reconnect_after_ms": 1}
                for word in (goaway, *started(frame)):
                    await socket.send_json(word)
        return socket

    async with await serve(talk, "/v1/ws") as server:
        client = Client(asker, str(server.make_url("")), wire="websocket")
        events = await client.ask("begun", bodies=[{"prompt": "a"}, {"prompt": "b"}])

    assert [each["text"] for each in events] == ["x", "x"]
    assert len(sockets) == 2


async def test_a_socket_of_somebody_else_is_an_error(asker: Asker) -> None:
    """What does not speak as llm-stream does is not listened to."""

    async def talk(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=["llm-stream.v1"])
        await socket.prepare(request)
        await socket.send_str("<hello>")
        await socket.receive()
        return socket

    async with await serve(talk, "/v1/ws") as server:
        client = Client(asker, str(server.make_url("")), wire="websocket")
        told = await client.begin("result", body={"prompt": "Hi"})

    assert told["code"] == "unexpected_answer"


async def test_a_request_that_is_too_large_is_not_sent(asker: Asker, service: Any) -> None:
    """The socket says how much it takes."""
    client = Client(asker, service.url, wire="websocket")
    told = await client.begin("result", body={"prompt": "x" * 1_100_000})

    assert (told["code"], told["status"]) == ("payload_too_large", 413)
