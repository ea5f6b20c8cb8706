"""The runner: connections of ours on one socket, and nothing left of it afterwards."""

import asyncio
import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry, Counter

from llm_stream.config import ServerSection
from llm_stream.web.connection import Connection
from llm_stream.web.runner import Runner
from llm_stream.web.server import listen
from llm_stream.web.watch import Watch


def make() -> tuple[Runner, Watch]:
    """A runner of an application that says whether its connection is one of ours."""

    async def tell(request: web.Request) -> web.Response:
        return web.Response(text=str(isinstance(request.protocol, Connection)))

    async def fail(_request: web.Request) -> web.Response:
        raise RuntimeError("secret detail")

    async def fail_late(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"so far")
        raise RuntimeError("secret detail")

    app = web.Application()
    app.add_routes([web.get("/", tell), web.get("/fail", fail), web.get("/late", fail_late)])
    counters = [Counter(name, "x", registry=CollectorRegistry()) for name in ("late", "stalled")]
    watch = Watch(ServerSection(), *counters)
    return Runner(app, watch, lambda _: None), watch


@pytest.fixture
async def url() -> AsyncIterator[str]:
    """Where a runner listens whose application has no middleware."""
    runner, _ = make()
    await runner.setup()
    bound = listen("127.0.0.1", 0, 65_536)
    runner.listen(bound)
    yield f"http://127.0.0.1:{bound.getsockname()[1]}"
    await runner.cleanup()


async def test_a_bug_that_no_middleware_saw_is_a_problem(
    url: str, http: aiohttp.ClientSession
) -> None:
    """Our object and no traceback, and the connection is closed."""
    async with http.get(f"{url}/fail") as response:
        problem = await response.json()

    assert (response.status, problem["code"]) == (500, "internal_error")
    assert response.headers["Connection"] == "close"
    assert "secret" not in str(problem)


async def test_an_answer_that_has_begun_is_broken_off(
    url: str, http: aiohttp.ClientSession
) -> None:
    """A clean end would look like the end of the answer."""
    async with http.get(f"{url}/late") as response:
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()


async def test_connections_are_ours_until_the_cleanup(http: aiohttp.ClientSession) -> None:
    """Each is watched while it is open; afterwards neither a task nor a socket is left."""
    runner, watch = make()
    await runner.setup()
    bound = listen("127.0.0.1", 0, 65_536)
    runner.listen(bound)
    async with http.get(f"http://127.0.0.1:{bound.getsockname()[1]}/") as response:
        assert await response.text() == "True"
    assert len(watch.connections) == 1
    await runner.cleanup()

    assert watch.connections == set()
    assert bound.fileno() == -1
    assert "connections" not in {task.get_name() for task in asyncio.all_tasks()}


async def test_listening_comes_after_the_setup() -> None:
    """Before it there is no server that could be given connections."""
    runner, _ = make()
    with listen("127.0.0.1", 0, 65_536) as bound, pytest.raises(RuntimeError, match="setup"):
        runner.listen(bound)


async def test_who_waits_to_be_accepted_at_the_end_is_answered() -> None:
    """They believe to be connected, and have asked already."""
    runner, _ = make()
    await runner.setup()
    bound = listen("127.0.0.1", 0, 65_536)
    runner.listen(bound)
    clients = [socket.create_connection(bound.getsockname()) for _ in range(200)]
    for client in clients:
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        client.setblocking(False)
    await runner.cleanup()
    loop = asyncio.get_running_loop()
    answers = [await loop.sock_recv(client, 1000) for client in clients]
    for client in clients:
        client.close()

    assert {answer.partition(b"\r\n")[0] for answer in answers} == {b"HTTP/1.1 200 OK"}
