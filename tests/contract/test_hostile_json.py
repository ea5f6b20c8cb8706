"""JSON made to break parsers: the same refusal on HTTP and on the socket, and never a 500."""

import asyncio
import gzip
import json
from functools import cache
from typing import Any

import aiohttp
import pytest

from llm_stream.testing import Script, ScriptedModel, words
from llm_stream.testing.service import RunningService

from ..testing.rawhttp import exchange, post
from ..wire import JSON, WsClient

IMAGE = b'{"type":"image/png","data":"aGk="}'
TURN = b'{"role":"user","content":"x","attachments":[' + IMAGE + b"]}"

HOSTILE = {
    "objects 100,000 deep": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "malformed_request"),
    "arrays 100,000 deep": (b'{"a":' + b"[" * 100_000, "malformed_request"),
    "65 deep": (b'{"a":' * 65 + b"1" + b"}" * 65, "malformed_request"),
    "a number of 5,000 digits": (
        b'{"prompt":"x","options":{"seed":' + b"9" * 5000 + b"}}",
        "malformed_request",
    ),
    "2 ** 64": (b'{"prompt":"x","options":{"seed":18446744073709551616}}', "invalid_option"),
    "1e999": (b'{"prompt":"x","options":{"temperature":1e999}}', "malformed_request"),
    "NaN": (b'{"prompt":"x","options":{"temperature":NaN}}', "malformed_request"),
    "-Infinity": (b'{"prompt":"x","options":{"temperature":-Infinity}}', "malformed_request"),
    "a key twice": (b'{"prompt":"x","prompt":"y"}', "malformed_request"),
    "an inner key twice": (b'{"prompt":"x:","options":{"a":1,"a":2}}', "malformed_request"),
    "a lone surrogate": (b'{"prompt":"\\ud800"}', "malformed_request"),
    "a lone surrogate as key": (b'{"\\udfff":1}', "malformed_request"),
    "a byte order mark": (b'\xef\xbb\xbf{"prompt":"x"}', "malformed_request"),
    "a raw NUL": (b'{"prompt":"a\x00b"}', "malformed_request"),
    "an escaped NUL": (b'{"prompt":"a\\u0000b"}', "malformed_request"),
    "a NUL behind it": (b'{"prompt":"x"}\x00', "malformed_request"),
    "two objects": (b'{"prompt":"x"}{"prompt":"y"}', "malformed_request"),
    "a comment": (b'/**/{"prompt":"x"}', "malformed_request"),
    "17 attachments": (
        b'{"prompt":"x","attachments":[' + b",".join([IMAGE] * 17) + b"]}",
        "payload_too_large",
    ),
    "17 attachments of turns": (
        b'{"messages":[' + b",".join([TURN] * 17) + b"]}",
        "payload_too_large",
    ),
}
NOT_UTF8 = {"invalid UTF-8": b'{"prompt":"\xff"}', "a raw surrogate": b'{"prompt":"\xed\xa0\x80"}'}


@pytest.mark.parametrize(("body", "code"), HOSTILE.values(), ids=HOSTILE)
async def test_the_wires_refuse_alike(
    service: RunningService,
    http: aiohttp.ClientSession,
    model: ScriptedModel,
    body: Any,
    code: Any,
) -> None:
    """One code on both; a stream of the same socket goes on to its end."""
    model.scripts = [Script(chunks=words(30))]
    ws = await WsClient.connect(http, service.url)
    await ws.ask(type="start", id="good", stream="g", input={"prompt": "hi"})
    async with http.post(f"{service.url}/v1/generate", data=body, headers=JSON) as response:
        assert 400 <= response.status < 500
        assert (await response.json())["code"] == code
    frame = b'{"type":"start","id":"9","input":' + body + b"}"
    await ws.ws.send_frame(frame, aiohttp.WSMsgType.TEXT)
    named = "9" if code != "malformed_request" else None
    await ws.until(lambda: named in ws.replies)

    assert ws.replies[named]["error"]["code"] == code
    assert len(await ws.end_of("g")) == 33
    assert len(model.calls) == 1
    await ws.ws.close()


@pytest.mark.parametrize(
    "path",
    [
        "/v1/evaluate", "/v1/breakdown", "/v1/reason", "/v1/batch", "/query",
        "/evaluate_sufficiency", "/v1/cache/invalidate", "/v1/templates/summarize/render",
    ],
)  # fmt: skip
async def test_every_path_reads_json_as_strictly(
    service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel, path: Any
) -> None:
    """What is malformed for one call is so for each, and no model is asked."""
    for body, code in HOSTILE.values():
        if code == "malformed_request":
            async with http.post(f"{service.url}{path}", data=body, headers=JSON) as response:
                assert (response.status, (await response.json())["code"]) == (400, code)

    assert model.calls == []


@pytest.mark.parametrize("body", NOT_UTF8.values(), ids=NOT_UTF8)
async def test_what_is_not_utf8_is_refused_by_both(
    service: RunningService, http: aiohttp.ClientSession, body: Any
) -> None:
    """HTTP says 400; a text frame that is no text ends its socket with 1007, as RFC 6455 asks."""
    ws = await WsClient.connect(http, service.url)
    async with http.post(f"{service.url}/v1/generate", data=body, headers=JSON) as response:
        assert (await response.json())["code"] == "malformed_request"
    await ws.ws.send_frame(body, aiohttp.WSMsgType.TEXT)
    with pytest.raises(ConnectionError):
        await ws.until(lambda: False)

    assert ws.ws.close_code == 1007


@cache
def bomb() -> bytes:
    """64 MB of JSON in 64 KB."""
    return gzip.compress(json.dumps({"prompt": "x" * 64_000_000}).encode(), 9)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "identity, gzip"])
async def test_a_compressed_body_is_not_looked_into(service: RunningService, coding: Any) -> None:
    """A bomb is refused by its header and never unpacked."""
    headers = {"host": "localhost", "content-type": "application/json", "content-encoding": coding}
    async with asyncio.timeout(10):
        arrived = await exchange(service, post("/v1/generate", bomb(), headers))

    assert arrived.status == 415
    assert json.loads(arrived.body)["code"] == "unsupported_media_type"
