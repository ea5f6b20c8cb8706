"""OpenAI's own SDK, pointed at a service."""

from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest

from llm_stream.testing.service import RunningService

KEY = "lls_any"
HELLO = [{"role": "user", "content": "Say hello."}]
ASKED: dict[str, Any] = {"model": "scripted", "messages": HELLO}


def client_of(service: RunningService) -> Any:
    """An SDK's client that asks once; untyped, since requests here are plain dicts."""
    return openai.AsyncOpenAI(api_key=KEY, base_url=f"{service.url}/v1", max_retries=0)


@pytest.fixture
async def gpt(service: RunningService) -> AsyncIterator[Any]:
    """A client of the service."""
    async with client_of(service) as client:
        yield client
