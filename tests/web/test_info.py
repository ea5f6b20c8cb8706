"""Models, templates, health."""

from typing import Any

import aiohttp
import pytest

from llm_stream.testing import Fault, Script, ScriptedModel
from llm_stream.testing.service import RunningService

from ..wire import start_async


async def get(http: aiohttp.ClientSession, service: RunningService, path: Any) -> Any:
    """GET: status and decoded body."""
    async with http.get(f"{service.url}{path}") as response:
        return response.status, await response.json()


async def test_models_are_listed_with_what_they_can(
    service: RunningService, http: aiohttp.ClientSession
) -> None:
    """OpenAI's list shape, our extra fields, the aliases."""
    _, body = await get(http, service, "/v1/models")
    entry = next(model for model in body["data"] if model["id"] == "scripted")

    assert body["object"] == "list"
    assert body["aliases"] == {"fast": "scripted", "default": "scripted"}
    assert entry["aliases"] == ["default", "fast"]
    assert entry["is_default"]
    assert entry["options"]["properties"]["temperature"]


async def test_templates_are_listed_and_shown(
    service: RunningService, http: aiohttp.ClientSession
) -> None:
    """Each with name, hash, variables and text; one alone is the same."""
    _, body = await get(http, service, "/v1/templates")
    listed = next(t for t in body["templates"] if t["name"] == "summarize")
    _, alone = await get(http, service, "/v1/templates/summarize")

    assert listed == alone
    assert listed["variables"] == ["input", "sentences"]
    assert listed["recipe"] == "generate"
    recipes = {t["name"]: t["recipe"] for t in body["templates"]}
    assert (recipes["evaluate"], recipes["breakdown"]) == ("evaluate", "breakdown")
    assert (recipes["rubric"], recipes["repair"]) == ("internal", "internal")


async def test_rendering_calls_no_model(
    service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """The preview is what a model would see."""
    async with http.post(
        f"{service.url}/v1/templates/summarize/render",
        json={"prompt": "The shop.", "params": {"sentences": 2}},
    ) as response:
        body = await response.json()

    assert "at most 2 sentences" in body["prompt"]
    assert "The shop." in body["prompt"]
    assert body["template"].startswith("summarize@")
    assert model.calls == []


@pytest.mark.parametrize(
    ("body", "code"),
    [({}, "missing_variable"), ({"params": {"x": "y"}, "prompt": "p"}, "unknown_variable"),
     ({"nope": 1}, "unknown_field")],
)  # fmt: skip
async def test_rendering_refuses_like_running(
    service: RunningService, http: aiohttp.ClientSession, body: Any, code: Any
) -> None:
    """The same faults as in a run, before there is one."""
    async with http.post(f"{service.url}/v1/templates/summarize/render", json=body) as response:
        assert response.status == 400
        assert (await response.json())["code"] == code


async def test_alive_and_ready(service: RunningService, http: aiohttp.ClientSession) -> None:
    """Both are 200 on a healthy service."""
    async with http.get(f"{service.url}/livez") as response:
        assert (response.status, await response.text()) == (200, "ok\n")
    assert await get(http, service, "/readyz") == (
        200, {"ready": True, "missing": [], "degraded": []},
    )  # fmt: skip


async def test_a_draining_service_is_alive_but_not_ready(
    service: RunningService, http: aiohttp.ClientSession
) -> None:
    """At a drain new traffic has to go elsewhere; the process is fine."""
    service.parts.draining.set()

    status, told = await get(http, service, "/readyz")
    assert (status, told["missing"]) == (503, ["draining"])
    async with http.get(f"{service.url}/livez") as response:
        assert response.status == 200
    assert (await get(http, service, "/health"))[1]["status"] == "draining"


async def test_health_tells_details(
    service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """Runs, sockets, models and templates, with what is broken by name."""
    model.scripts = [Script(fault=Fault(stall=True))]
    await start_async(http, service.url, prompt="x")
    _, body = await get(http, service, "/health")

    assert body["runs"]["active"] == 1
    assert body["runs"]["durable"] is False
    assert body["models"]["default"] == "scripted"
    assert body["models"]["faults"] == []
    assert body["templates"] >= 3
