"""What recipes make of odd answers and odd company."""

import json
from typing import Any

import aiohttp
import pytest

from llm_stream.testing import Fault, Script, ScriptedModel
from llm_stream.testing.scripted import Call
from llm_stream.testing.service import RunningService

from ..conftest import StartService
from ..wire import SSE, sse_events
from .test_recipes import STAGE, WORK, judgement, plan, post, says, task

DEEP = '{"a":' * 600 + "1" + "}" * 600
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}


def text(said: str) -> Script:
    """A script that says it at once."""
    return Script(chunks=(said,))


@pytest.mark.parametrize(
    "answer",
    [DEEP, '{"a": "\\ud800"}', f'{{"b": {"9" * 400}}}', '{"b": 1e400}', '{"b": NaN}'],
    ids=["deep", "surrogate", "400 digits", "infinite", "nan"],
)
async def test_an_answer_that_cannot_be_passed_on_is_repaired(
    service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel, answer: str
) -> None:
    """What JSON allows but no client can be sent counts as invalid, and is asked for again."""
    model.scripts = [text(answer), text('{"a": "well"}')]
    status, reply = await post(http, service, "generate", {"prompt": "x", "schema": SCHEMA})

    assert (status, reply.get("data")) == (200, {"a": "well"})
    assert len(model.calls) == 2


@pytest.mark.parametrize("recipe", ["evaluate", "breakdown"])
async def test_a_recipe_names_an_answer_that_stays_unusable(
    service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel, recipe: str
) -> None:
    """Nothing but such answers is the model's fault, not ours."""
    model.scripts = [text(DEEP)]
    body = STAGE if recipe == "evaluate" else WORK
    status, problem = await post(http, service, recipe, body)

    assert (status, problem["code"]) == (502, "invalid_output")


def drafted() -> str:
    """A draft in braces, then the answer in a fence."""
    final = json.dumps(plan(task("final")))
    return f"Draft: {json.dumps(plan(task('draft')))}\n```json\n{final}\n```"


def huge() -> str:
    """Three tasks, the second with a number that one of the two parsers does not take."""
    tasks = json.dumps(plan(task("a"), task("b"), task("c")))
    place = tasks.index('"high": ', tasks.index('"id": "b"')) + len('"high": ')
    return tasks[:place] + "99999999999999999999" + tasks[tasks.index(",", place) :]


async def test_the_plan_is_the_one_that_was_checked(
    service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """A draft that streamed as if it were the plan is taken back."""
    model.scripts = [text(drafted())]
    async with http.post(f"{service.url}/v1/breakdown", json=WORK, headers=SSE) as response:
        events = [event.payload async for event in sse_events(response)]
    kinds = [event["type"] for event in events]

    assert [t["id"] for t in events[-1]["result"]["tasks"]] == ["final"]
    after = kinds[kinds.index("run.restarted") :]
    assert after.count("item.completed") == 1


async def test_no_task_is_lost_to_a_number(
    service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """A number out of all proportion is refused and written again; no plan is silently short."""
    model.scripts = [text(huge()), says(plan(task("a"), task("b"), task("c")))]
    status, result = await post(http, service, "breakdown", WORK)

    assert status == 200
    assert [t["id"] for t in result["tasks"]] == ["a", "b", "c"]


async def test_who_answered_is_named(
    start_service: StartService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """After a fallback the verdict's judge and a Director's reply are the one that answered."""
    bad = ScriptedModel("bad", Script(fault=Fault(error=ConnectionError("down"))))
    model.respond = lambda call: says(judgement("met")) if "Criterion" in call.prompt else text("x")
    service = await start_service(bad, models={"fallbacks": {"bad": ["scripted"]}})
    _, verdict = await post(http, service, "evaluate", STAGE | {"model": "bad"})
    async with http.post(f"{service.url}/query", json={"prompt": "x", "model": "bad"}) as response:
        reply = await response.json()

    assert (verdict["model"], verdict["judge"]) == ("bad", "scripted")
    assert (reply["model"], reply["fallback"]) == ("scripted", True)
    assert reply["requested_model"] == "bad"


async def test_the_text_of_a_reasoning_is_its_answer(
    service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """Snapshot, length and hash leave the steps' text out."""
    model.scripts = [Script(chunks=(said,)) for said in ("Draft", "Crit", "Final")]
    body = {"question": "Build or buy?", "strategy": "critique"}
    _, result = await post(http, service, "reason", body)
    async with http.get(f"{service.url}/v1/runs/{result['id']}") as response:
        shown = await response.json()

    assert shown["text"] == "Final"
    assert shown["statistics"]["text_chars"] == len("Final")


async def test_a_batch_counts_each_model_call_once(
    service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """Equal requests share a call and its usage; a failed one has paid for its calls."""
    model.respond = lambda call: text("no JSON" if "fail" in call.prompt else "hi")
    hello = {"input": {"prompt": "hello"}}
    failing = {"input": {"prompt": "fail", "schema": SCHEMA}}
    _, shared = await post(http, service, "batch", {"requests": [hello] * 3})
    _, failed = await post(http, service, "batch", {"requests": [failing]})

    assert shared["usage"] == {"input_tokens": 3, "output_tokens": 4}
    assert failed["usage"] == {"input_tokens": 6, "output_tokens": 8}


async def test_a_batch_may_hold_as_much_as_its_requests(
    start_service: StartService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """The log's bound is one request's; a batch has it for each."""
    model.scripts = [text("x" * 3000)]
    service = await start_service(runs={"max_log_bytes": 8192})
    requests = [{"input": {"prompt": f"{n}"}} for n in range(6)]
    status, result = await post(http, service, "batch", {"requests": requests})

    assert (status, result["completed"]) == (200, 6)


@pytest.mark.parametrize("recipe", ["evaluate", "breakdown", "reason"])
async def test_a_template_of_another_recipe_is_refused(
    service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel, recipe: str
) -> None:
    """Before anything is paid for, naming the field."""
    bodies: dict[str, Any] = {"evaluate": STAGE, "breakdown": WORK, "reason": {"question": "x"}}
    status, problem = await post(http, service, recipe, bodies[recipe] | {"template": "summarize"})

    assert (status, problem["field"]) == (400, "template")
    assert model.calls == []


async def test_early_stop_tells_only_what_all_samples_judged(
    service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """A criterion is in the verdict if, and only if, it was an event."""

    def respond(call: Call) -> Script:
        if " source=criterion\nThe cart" in call.prompt:
            return says(judgement("unmet"))
        return Script(fault=Fault(stall=True))

    model.respond = respond
    body = STAGE | {"samples": 2, "early_stop": True}
    async with http.post(f"{service.url}/v1/evaluate", json=body, headers=SSE) as response:
        events = [event.payload async for event in sse_events(response)]
    paths = [event["path"] for event in events if event["type"] == "item.completed"]
    result = events[-1]["result"]

    assert paths == ["criteria/0"]
    assert [item["id"] for item in result["criteria"]] == ["cart"]
    assert result["verdict"] == "insufficient"


@pytest.mark.parametrize(
    ("recipe", "body", "calls"),
    [("breakdown", WORK, 2), ("evaluate", STAGE | {"criteria": []}, 2)],
)
async def test_what_a_failed_recipe_has_spent_is_told(
    service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel,
    recipe: str, body: Any, calls: int,
) -> None:  # fmt: skip
    """Usage of inner runs is in the log however they ended."""
    model.scripts = [text("no JSON")]
    status, problem = await post(http, service, recipe, body)
    async with http.get(f"{service.url}/v1/runs/{problem['run']}") as response:
        failed = await response.json()
    async with http.get(f"{service.url}/v1/runs") as response:
        outer = (await response.json())["runs"][0]

    assert status == 502
    assert len(model.calls) == calls
    assert failed["state"] == "failed"
    assert outer["recipe"] == recipe
    assert outer["statistics"]["input_tokens"] == 3 * calls


async def test_a_bug_in_a_recipe_is_no_answer(
    service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """A Director gets a problem, not the half that had come."""

    class Broken:
        name = "generate"

        def identity(self, _spec: Any) -> str:
            return ""

        async def run(self, _spec: Any, _ask: Any) -> Any:
            yield {"type": "text.delta", "text": "half"}
            raise KeyError("bug")

    service.parts.launcher.recipes["generate"] = Broken()
    async with http.post(f"{service.url}/query", json={"prompt": "x"}) as response:
        problem = await response.json()

    assert (response.status, problem["code"]) == (500, "internal_error")


async def test_tokens_of_a_recipe_are_counted_once(
    service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """The metric has what models reported, not what recipes report again."""
    model.respond = lambda _call: says(judgement("met"))
    await post(http, service, "evaluate", STAGE)
    async with http.get(f"{service.url}/metrics") as response:
        exposed = await response.text()

    assert 'llm_stream_tokens_total{direction="input",model="scripted"} 9.0' in exposed
