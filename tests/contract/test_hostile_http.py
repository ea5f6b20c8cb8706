"""Requests that are not HTTP, or could be read in two ways: refused, closed, nobody else harmed."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from llm_stream.testing import Script, ScriptedModel, words
from llm_stream.testing.service import RunningService

from ..testing.rawhttp import exchange
from ..wire import SSE, sse_events

HOST = b"Host: localhost\r\n"
GET = b"GET /livez HTTP/1.1\r\n" + HOST
BODY = b'{"prompt":"x"}'
CHUNKED = b"Transfer-Encoding: chunked\r\n"
CHUNK = b"\r\ne\r\n" + BODY + b"\r\n0\r\n\r\n"
LENGTH = b"Content-Length: 14\r\n"
KILOS = b"a" * 9000
UPGRADE = (
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
SMUGGLED = b"GET /livez HTTP/1.1\r\n" + HOST + b"\r\n"


def post(headers: bytes, body: bytes, version: bytes = b"1.1") -> bytes:
    """A POST of JSON with these framing headers."""
    start = b"POST /v1/generate HTTP/" + version + b"\r\n" + HOST
    return start + b"Content-Type: application/json\r\n" + headers + body


def socket(headers: bytes, body: bytes = b"", version: bytes = b"1.1") -> bytes:
    """An opening handshake with further headers."""
    return b"GET /v1/ws HTTP/" + version + b"\r\n" + HOST + UPGRADE + headers + b"\r\n" + body


HOSTILE = {
    "200 headers": GET + b"".join(b"X-%d: 1\r\n" % n for n in range(200)) + b"\r\n",
    "9 KB value": GET + b"X: " + KILOS + b"\r\n\r\n",
    "9 KB name": GET + KILOS + b": 1\r\n\r\n",
    "9 KB URL": b"GET /" + KILOS + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    "two hosts": GET + b"Host: evil.example\r\n\r\n",
    "the same host twice": GET + HOST + b"\r\n",
    "no host": b"GET /livez HTTP/1.1\r\n\r\n",
    "length and coding": post(LENGTH + CHUNKED, CHUNK),
    "coding and length": post(CHUNKED + LENGTH, CHUNK),
    "another coding": post(b"Transfer-Encoding: gzip, chunked\r\n", CHUNK),
    "almost a coding": post(b"Transfer-Encoding: xchunked\r\n", CHUNK),
    "coding in HTTP/1.0": post(CHUNKED, CHUNK, b"1.0"),
    "two lengths": post(LENGTH + b"Content-Length: 15\r\n", b"\r\n" + BODY),
    "signed length": post(b"Content-Length: +14\r\n", b"\r\n" + BODY),
    "huge length": post(b"Content-Length: 99999999999999999999\r\n", b"\r\n" + BODY),
    "bad chunk": post(CHUNKED, b"\r\nzz\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "200 trailers": post(
        CHUNKED, CHUNK[:-2] + b"".join(b"X-%d: 1\r\n" % n for n in range(200)) + b"\r\n"
    ),
    "folded header": GET + b"X: a\r\n b\r\n\r\n",
    "space before the colon": GET + b"X : a\r\n\r\n",
    "NUL": GET + b"X: a\x00b\r\n\r\n",
    "bare CR": GET + b"X: a\rY: b\r\n\r\n",
    "bare LF": b"GET /livez HTTP/1.1\nHost: localhost\n\n",
    "raw bytes in the URL": b"GET /\xff\xfe HTTP/1.1\r\n" + HOST + b"\r\n",
    "broken address": b"GET http://[::1/livez HTTP/1.1\r\n" + HOST + b"\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 100,
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "socket with a body": socket(b"Content-Length: %d\r\n" % len(SMUGGLED), SMUGGLED),
    "socket of a page with a body": socket(
        b"Origin: http://localhost\r\nContent-Length: %d\r\n" % len(SMUGGLED), SMUGGLED
    ),
    "socket with chunks": socket(CHUNKED, b"5\r\nhello\r\n0\r\n\r\n"),
    "socket in HTTP/1.0": socket(b"", version=b"1.0"),
}


@pytest.mark.parametrize("request_bytes", HOSTILE.values(), ids=HOSTILE)
async def test_what_is_not_plain_http_is_400_and_closed(
    service: RunningService, request_bytes: Any
) -> None:
    """One problem, then the end: nothing behind such a request is read as another."""
    async with asyncio.timeout(10):
        arrived = await exchange(service, request_bytes)

    assert arrived.status == 400
    assert arrived.head.get("Connection", "close") == "close"
    assert arrived.head["X-Content-Type-Options"] == "nosniff"
    problem = json.loads(arrived.body)
    assert problem["code"] == "invalid_http"
    assert problem["request"] == arrived.head["X-Request-Id"]
    assert len(problem["detail"]) < 400


async def test_hostile_requests_harm_nobody_else(
    service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """A stream beside all of them at once is whole, and a kept connection is still served."""
    model.scripts = [Script(chunks=words(200), delay_seconds=0.001)]
    async with http.post(
        f"{service.url}/v1/generate", json={"prompt": "x"}, headers=SSE
    ) as response:
        attacks = [asyncio.create_task(exchange(service, sent)) for sent in HOSTILE.values()]
        events = [event async for event in sse_events(response)]
    refused = await asyncio.gather(*attacks)

    assert [arrived.status for arrived in refused] == [400] * len(HOSTILE)
    assert [event.id for event in events] == [f"1-{n + 1}" for n in range(len(events))]
    assert "".join(event.payload.get("text", "") for event in events) == "".join(words(200))
    async with http.get(f"{service.url}/livez") as alive:
        assert alive.status == 200


@pytest.mark.parametrize(
    "request_bytes",
    [
        GET + b"".join(b"X-%d: 1\r\n" % n for n in range(100)) + b"Connection: close\r\n\r\n",
        GET + b"X: " + b"a" * 8000 + b"\r\nConnection: close\r\n\r\n",
        b"GET /livez HTTP/1.0\r\n\r\n",
        post(CHUNKED + b"Connection: close\r\n", CHUNK),
        post(b"Upgrade: h2c\r\nConnection: Upgrade, close\r\n" + LENGTH, b"\r\n" + BODY),
    ],
    ids=["100 headers", "8 KB header", "HTTP/1.0", "chunked", "an offer of HTTP/2"],
)
async def test_what_is_unusual_is_served(service: RunningService, request_bytes: Any) -> None:
    """The limits leave room for what real clients send."""
    assert (await exchange(service, request_bytes)).status == 200
