"""What existing Directors call."""

from typing import Any

import aiohttp
import pytest

from llm_stream.config import DirectorSection
from llm_stream.testing import Fault, Script, ScriptedModel
from llm_stream.testing.scripted import Call
from llm_stream.testing.service import RunningService, running_service

from ..conftest import settings
from ..contract.test_recipes import judgement, says

STAGE = {
    "stage_name": "design",
    "stage_data": {"tasks": ["draw the pages"]},
    "project_state": {"documents": ["pages.md"]},
}


async def post(
    http: aiohttp.ClientSession, service: RunningService, path: str, body: Any
) -> tuple[int, Any]:
    """POST: status and decoded body."""
    async with http.post(f"{service.url}{path}", json=body) as response:
        return response.status, await response.json()


@pytest.mark.parametrize(
    ("asked", "fallback"),
    [({"model": "gpt-3.5-turbo"}, True), ({"model": "claude-3-haiku-20240307"}, True),
     ({"model": "scripted"}, False), ({"tier": "fast"}, False), ({"tier": "powerful"}, True),
     ({}, False)],
)  # fmt: skip
async def test_a_query_is_answered_whatever_model_it_names(
    service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel, asked: Any,
    fallback: bool,
) -> None:  # fmt: skip
    """A model of 2024 or a tier that is not there is answered by the fallback, and named."""
    body = {"prompt": "What next?", "context": {"stage": "design"}, "max_tokens": 50}
    status, reply = await post(http, service, "/query", body | asked)

    assert status == 200
    assert reply["response"] == "Hello, world."
    assert reply["model"] == "scripted"
    assert reply["fallback"] is fallback
    assert '"stage": "design"' in model.calls[0].prompt
    assert model.calls[0].options == {"max_tokens": 50}


def judge(ratings: list[str]) -> Any:
    """Derives as many criteria as there are ratings, and gives each its rating."""

    def respond(call: Call) -> Script:
        if "List three to six criteria" in call.prompt:
            titles = [{"title": f"Point {n}", "required": True} for n in range(len(ratings))]
            return says({"criteria": titles})
        rating = ratings[int(call.prompt.split("source=criterion\nPoint ")[1][0])]
        return Script(fault=Fault(stall=True)) if rating == "stall" else says(judgement(rating))

    return respond


@pytest.mark.parametrize(("ratings", "sufficient"), [(["met"], True), (["met", "unmet"], False)])
async def test_a_stage_is_judged(
    service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel,
    ratings: list[str], sufficient: bool,
) -> None:  # fmt: skip
    """Criteria are derived, the verdict computed; the reply has what Directors read."""
    model.respond = judge(ratings)
    status, reply = await post(http, service, "/evaluate_sufficiency", STAGE)

    assert status == 200
    assert reply["is_sufficient"] is sufficient
    assert isinstance(reply["reasoning"], str)
    assert reply["partial"] is False


async def hurried(model: ScriptedModel) -> Any:
    """A service whose Directors wait a fraction of a second."""
    quick = settings().model_copy(update={"director": DirectorSection(budget_seconds=0.2)})
    return running_service(quick, [model])


@pytest.mark.parametrize(
    ("ratings", "verdict"), [(["met", "stall"], "uncertain"), (["unmet", "stall"], "insufficient")]
)
async def test_when_time_runs_out_what_was_judged_decides(
    http: aiohttp.ClientSession, model: ScriptedModel, ratings: list[str], verdict: str
) -> None:
    """A half-finished evaluation is told as such and never sufficient; its models are closed."""
    model.respond = judge(ratings)
    async with await hurried(model) as service:
        status, reply = await post(http, service, "/evaluate_sufficiency", STAGE)

    assert status == 200
    assert reply["is_sufficient"] is False
    assert (reply["partial"], reply["verdict"]) == (True, verdict)
    assert "not all were judged" in reply["reasoning"]
    assert all(call.closed.is_set() for call in model.calls)


@pytest.mark.parametrize(
    ("path", "body"), [("/query", {"prompt": "x"}), ("/evaluate_sufficiency", STAGE)]
)
async def test_nothing_in_time_is_a_problem(
    http: aiohttp.ClientSession, model: ScriptedModel, path: str, body: Any
) -> None:
    """A silent model is a 503 within the budget, not a hang."""
    model.scripts = [Script(fault=Fault(stall=True))]
    async with await hurried(model) as service:
        status, problem = await post(http, service, path, body)

    assert (status, problem["code"]) == (503, "budget_exceeded")
    assert model.calls[0].closed.is_set()


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [("/query", {}, "missing_field"), ("/query", {"prompt": " "}, "empty_prompt"),
     ("/query", {"prompt": "x", "tier": "huge"}, "invalid_field"),
     ("/evaluate_sufficiency", {}, "missing_field")],
)  # fmt: skip
async def test_bad_questions_are_problems(
    service: RunningService, http: aiohttp.ClientSession, path: str, body: Any, code: str
) -> None:
    """Each with its code."""
    status, problem = await post(http, service, path, body)

    assert (status, problem["code"]) == (400, code)


async def test_a_failing_model_is_told(
    service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """Anything but 2xx is "unavailable" to a Director, and says why to its people."""
    model.scripts = [Script(fault=Fault(error=ConnectionError("down")))]
    status, problem = await post(http, service, "/query", {"prompt": "x"})

    assert (status, problem["code"]) == (502, "upstream_failed")
