"""Errors in OpenAI's shape, raised by OpenAI's SDK."""

import io
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest

from llm_stream.errors import ContextTooLong, UpstreamRejected
from llm_stream.testing import Fault, Script, ScriptedModel
from llm_stream.testing.service import RunningService

from ...conftest import StartService
from ...wire import start_async
from .conftest import ASKED, KEY, client_of


async def test_an_unknown_model(gpt: Any) -> None:
    """404 with the code that programs written for OpenAI look for."""
    with pytest.raises(openai.NotFoundError) as raised:
        await gpt.chat.completions.create(**{**ASKED, "model": "nobody"})

    assert (raised.value.code, raised.value.param) == ("model_not_found", "model")


async def test_a_key_that_does_not_hold(start_service: StartService, tmp_path: Path) -> None:
    """401, raised as such."""
    clients = {"required": True, "clients_file": str(tmp_path / "clients.toml")}
    service = await start_service(auth=clients)
    async with client_of(service) as gpt:
        with pytest.raises(openai.AuthenticationError) as raised:
            await gpt.chat.completions.create(**ASKED)

    assert (raised.value.code, raised.value.type) == ("unauthenticated", "authentication_error")


async def test_no_room(
    start_service: StartService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """429 with the time to wait."""
    service = await start_service(limits={"concurrent_runs": 1, "queued_runs": 1})
    model.scripts = [Script(fault=Fault(stall=True))]
    for number in range(2):
        await start_async(http, service.url, prompt=str(number))
    async with client_of(service) as gpt:
        with pytest.raises(openai.RateLimitError) as raised:
            await gpt.chat.completions.create(**ASKED, stream=True)

    assert raised.value.code == "too_many_runs"
    assert raised.value.type == "rate_limit_error"
    assert int(raised.value.response.headers["Retry-After"]) >= 1


async def test_a_prompt_that_is_too_long(gpt: Any, model: ScriptedModel) -> None:
    """Has the code that programs shorten their history by."""
    model.scripts = [Script(fault=Fault(error=ContextTooLong("too long")))]
    with pytest.raises(openai.BadRequestError) as raised:
        await gpt.chat.completions.create(**ASKED)

    assert raised.value.code == "context_length_exceeded"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_the_sdk_does_not_ask_again_in_vain(
    service: RunningService, model: ScriptedModel, stream: bool
) -> None:
    """A 502 that is final is asked once, although the SDK would ask again after any."""
    model.scripts = [Script(fault=Fault(error=UpstreamRejected("no")))]
    async with openai.AsyncOpenAI(
        api_key=KEY, base_url=f"{service.url}/v1", max_retries=2
    ) as client:
        gpt: Any = client
        with pytest.raises(openai.InternalServerError) as raised:
            await gpt.chat.completions.create(**ASKED, stream=stream)

    assert raised.value.code == "upstream_rejected"
    assert raised.value.response.headers["X-Run-Id"]
    assert len(model.calls) == 1


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [(b"{", 400, "malformed_request"), (b"[]", 400, "malformed_request"),
     (b"{}", 400, "missing_field"), (b" " * 20_000_000, 413, "payload_too_large")],
    ids=["cut", "list", "empty", "large"],
)  # fmt: skip
@pytest.mark.parametrize("path", ["chat/completions", "responses"])
async def test_what_no_sdk_sends(
    service: RunningService, http: aiohttp.ClientSession, path: str, body: bytes, status: int,
    code: str,
) -> None:  # fmt: skip
    """Has the same shape, whoever finds it."""
    headers = {"Content-Type": "application/json"}
    async with http.post(
        f"{service.url}/v1/{path}", data=io.BytesIO(body), headers=headers
    ) as response:
        told = await response.json()

    assert response.status == status
    assert set(told["error"]) == {"message", "type", "param", "code"}
    assert told["error"]["code"] == code
