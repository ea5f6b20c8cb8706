"""A whole service for a test: up, answering, and gone."""

import aiohttp
import pytest

from llm_stream.events import decoded
from llm_stream.testing import Fault, Script, ScriptedModel
from llm_stream.testing.service import running_service

from ..conftest import settings


async def test_it_listens_on_a_free_port_and_stops(http: aiohttp.ClientSession) -> None:
    """Inside the block it answers; after it the port is closed and live runs are cancelled."""
    model = ScriptedModel("scripted", Script(fault=Fault(stall=True)))
    async with running_service(settings(), [model]) as service:
        async with http.get(f"{service.url}/livez") as response:
            assert response.status == 200
        async with http.post(
            f"{service.url}/v1/generate", json={"prompt": "x"}, headers={"Prefer": "respond-async"}
        ) as response:
            run = service.parts.registry.find((await response.json())["id"])

    assert decoded(run.events()[-1])["reason"] == "shutdown"
    assert model.calls[0].closed.is_set()
    with pytest.raises(aiohttp.ClientConnectionError):
        await http.get(f"{service.url}/livez")
