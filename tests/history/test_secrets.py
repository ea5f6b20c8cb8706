"""What must never get into the database."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import aiohttp
import llm
import pytest

from ..conftest import StartService

SECRET = "sk-very-secret-0123456789"


class Keyed(llm.AsyncKeyModel):
    """A model that needs a key."""

    model_id = "keyed"
    needs_key = "keyed"
    key_env_var = "KEYED_API_KEY"
    can_stream = True

    async def execute(
        self, prompt: Any, stream: bool, response: Any, conversation: Any, key: str | None = None
    ) -> AsyncGenerator[str]:
        assert key == SECRET
        yield "Hello"
        response.response_json = {"finish_reason": "stop"}


async def test_no_key_is_recorded(
    start_service: StartService,
    http: aiohttp.ClientSession,
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither the provider's key nor a header of the request is anywhere in the files."""
    monkeypatch.setenv("KEYED_API_KEY", SECRET)
    service = await start_service(Keyed(), history={"enabled": True, "path": str(path)})
    async with http.post(
        f"{service.url}/v1/generate",
        json={"prompt": "a question", "model": "keyed"},
        headers={"Authorization": "Bearer client-secret"},
    ) as response:
        assert (await response.json())["text"] == "Hello"
    history = service.parts.history
    assert history is not None
    await history.forget()
    written = b"".join(file.read_bytes() for file in sorted(path.parent.glob("logs.db*")))

    assert b"a question" in written
    assert SECRET.encode() not in written
    assert b"client-secret" not in written
