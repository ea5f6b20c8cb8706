"""Clients that keep the service waiting: closed in time, and nobody else notices."""

import asyncio
import json
import socket
import time
from typing import Any

import aiohttp
import pytest

from llm_stream.testing.service import RunningService

from .. import peers
from ..conftest import StartService
from ..testing.rawhttp import connect, exchange, post
from ..wire import turns, until

HEAD = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n"
WHOLE = HEAD + b"\r\n"
ASKED = b"GET /docs/protocol HTTP/1.1\r\nHost: localhost\r\n\r\n"
CLOSING = b"\r\nConnection: close\r\n\r\n"
ALIVE = b"HTTP/1.1 200 OK"

pytestmark = pytest.mark.slow


@pytest.fixture
async def hasty(start_service: StartService) -> RunningService:
    """A service that waits for headers for a fifth of a second, for bodies a little longer."""
    return await start_service(
        server={"first_byte_seconds": 0.5, "header_seconds": 0.2, "body_seconds": 0.3}
    )


def count(service: RunningService, name: str) -> float | None:
    """A counter's value."""
    return service.parts.metrics.registry.get_sample_value(f"llm_stream_{name}_total")


async def alive(http: aiohttp.ClientSession, service: RunningService) -> Any:
    """Whether somebody else is served."""
    async with http.get(f"{service.url}/livez") as response:
        return response.status == 200


@pytest.mark.parametrize("trickled", [(), (b"X: 1\r\n",), (b"x",)], ids=["half", "lines", "bytes"])
async def test_headers_that_do_not_end_are_408(
    hasty: RunningService, http: aiohttp.ClientSession, trickled: Any
) -> None:
    """Half-sent or trickled: told why and closed; a client beside it is served."""
    asked = asyncio.create_task(exchange(hasty, HEAD, *trickled))
    assert await alive(http, hasty)
    arrived = await asked

    assert arrived.status == 408
    assert json.loads(arrived.body)["code"] == "request_timed_out"
    assert arrived.head["Connection"] == "close"
    assert count(hasty, "late_requests") == 1


async def test_a_loop_that_was_late_blames_nobody(hasty: RunningService) -> None:
    """What arrived while the loop stood still counts as arrived in time."""
    with socket.create_connection(("127.0.0.1", hasty.port)) as client:
        client.sendall(HEAD)
        await turns()
        client.sendall(b"\r\n")
        time.sleep(0.4)  # noqa: ASYNC251 - twice the limit, and the loop stands still
        client.setblocking(False)
        answer = await asyncio.get_running_loop().sock_recv(client, 1000)

    assert answer.startswith(ALIVE)
    assert count(hasty, "late_requests") == 0


async def test_a_connection_that_says_nothing_is_closed(hasty: RunningService) -> None:
    """Without a byte there is no request to answer, so nothing is said."""
    arrived = await exchange(hasty, b"")

    assert arrived.data == b""
    assert count(hasty, "late_requests") == 1


async def test_a_kept_connection_has_the_same_time_for_each_request(hasty: RunningService) -> None:
    """The second request's headers are bounded as the first's were."""
    arrived = await exchange(hasty, WHOLE, HEAD, b"X: 1\r\n")

    assert arrived.data.startswith(ALIVE)
    assert arrived.data.count(b"HTTP/1.1 ") == 2
    assert b"HTTP/1.1 408 " in arrived.data


async def test_a_kept_connection_may_be_silent(hasty: RunningService) -> None:
    """Between requests the limits of a request do not run."""
    reader, writer = await connect(hasty)
    for _ in range(2):
        writer.write(WHOLE)
        answer = await reader.readuntil(b"ok\n")
        assert answer.startswith(ALIVE)
        await exchange(hasty, b"")  # ends when a connection was silent for too long

    assert not reader.at_eof()
    writer.close()


async def test_headers_behind_a_skipped_body_are_bounded(hasty: RunningService) -> None:
    """A request that was refused before its body was there opens no way around the limit."""
    refused = post("/v1/generate", b"12", {"host": "localhost", "connection": "keep-alive"})
    arrived = await exchange(hasty, refused[:-1], refused[-1:], HEAD, b"X: 1\r\n")

    assert arrived.data.startswith(b"HTTP/1.1 415 ")
    assert b"HTTP/1.1 408 " in arrived.data


@pytest.mark.parametrize("trickled", [(), (b" ",)], ids=["half", "bytes"])
async def test_a_body_that_does_not_end_is_408(
    hasty: RunningService, http: aiohttp.ClientSession, trickled: Any
) -> None:
    """A body that trickles in is a problem, and its connection is closed."""
    headers = {"host": "localhost", "content-type": "application/json", "content-length": "9999"}
    asked = asyncio.create_task(exchange(hasty, post("/v1/generate", b"{", headers), *trickled))
    assert await alive(http, hasty)
    arrived = await asked

    assert arrived.status == 408
    assert json.loads(arrived.body)["detail"].startswith("The body ")
    assert count(hasty, "late_requests") == 1


async def test_a_body_may_take_its_time(hasty: RunningService) -> None:
    """What comes in pieces within the limit is one body."""
    body = b'{"prompt": "hi"}'
    headers = {"host": "localhost", "content-type": "application/json"}
    request = post("/v1/generate", body, headers)
    arrived = await exchange(hasty, request[:-3], request[-3:-1], request[-1:], b"")

    assert arrived.status == 200


async def test_a_slow_reader_may_ask_for_more(start_service: StartService) -> None:
    """While an answer goes out, slowly but steadily, the next request waits without a limit."""
    service = await start_service(server={"header_seconds": 0.1, "send_buffer_bytes": 4096})
    with peers.connect(service.port, receive_buffer_bytes=peers.LITTLE_BYTES) as client:
        client.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(client, ASKED)
        taken = await loop.sock_recv(client, 1024)
        await loop.sock_sendall(client, ASKED[:-2])
        for _ in range(2):
            # One that is not answered meanwhile, and has the limit.
            late = asyncio.create_task(exchange(service, HEAD))
            while not (await asyncio.wait((late,), timeout=0.01))[0]:
                taken += await loop.sock_recv(client, 64)
            assert late.result().status == 408
        await loop.sock_sendall(client, ASKED[-2:] + WHOLE.replace(b"\r\n\r\n", CLOSING))
        while piece := await loop.sock_recv(client, 65_536):
            taken += piece

    assert taken.count(ALIVE) == 3
    assert taken.endswith(b"ok\n")


async def test_who_does_not_read_answers_is_cut(
    start_service: StartService, http: aiohttp.ClientSession
) -> None:
    """Plain answers that nobody takes hold their connection for `stall_seconds`, not for ever."""
    service = await start_service(server={"stall_seconds": 0.3, "send_buffer_bytes": 4096})
    with peers.connect(service.port, receive_buffer_bytes=peers.LITTLE_BYTES) as client:
        client.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(client, ASKED * 50)
        assert await alive(http, service)
        await until(lambda: count(service, "slow_readers"))
        taken = b""
        while piece := await loop.sock_recv(client, 65_536):
            taken += piece

    assert taken.count(ALIVE) < 50


@pytest.mark.soak
async def test_two_hundred_slow_clients_are_closed_within_ten_seconds(
    service: RunningService, http: aiohttp.ClientSession
) -> None:
    """With the limits as they are by default, and everybody else is served meanwhile."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    attacks = asyncio.gather(*(exchange(service, HEAD, b"x") for _ in range(200)))
    slowest = 0.0
    while not attacks.done():
        asked = loop.time()
        assert await alive(http, service)
        slowest = max(slowest, loop.time() - asked)

    assert {arrived.status for arrived in await attacks} == {408}
    assert loop.time() - began < 10
    assert slowest < 1
