"""What existing Directors call: two plain JSON questions, answered within their patience.

They name models of 2024 or a tier, give up after ten seconds, and take anything but 2xx for
"unavailable". So an absent model is answered by another, named in the reply, and time that runs
out is answered with what has been judged, or with a problem, never with silence.
"""

import asyncio
from dataclasses import replace
from typing import Any

import orjson
from aiohttp import web
from pydantic import Field

from llm_stream.engine.fold import Fold
from llm_stream.engine.run import Run
from llm_stream.errors import (
    BudgetExceeded,
    EmptyPrompt,
    InternalError,
    RunCancelled,
    StreamError,
    UnknownModel,
)
from llm_stream.recipes.spec import TIERS, Tier
from llm_stream.recipes.verdict import judge
from llm_stream.web.auth import principal_of
from llm_stream.web.bodies import Body, Name, read_object, validate
from llm_stream.web.intake import Caller, new_claim
from llm_stream.web.negotiation import json_response, read_body
from llm_stream.web.recipes import spec_of
from llm_stream.web.service import REQUEST_ID, SERVICE, Service
from llm_stream.web.starting import launch
from llm_stream.web.views import answering_model

routes = web.RouteTableDef()


class QueryBody(Body):
    """POST /query."""

    prompt: str
    context: dict[str, Any] = Field(default_factory=dict)
    model: Name | None = None
    max_tokens: int | None = Field(default=None, ge=1)
    tier: Tier | None = None


class SufficiencyBody(Body):
    """POST /evaluate_sufficiency."""

    stage_name: str
    stage_data: dict[str, Any] = Field(default_factory=dict)
    project_state: dict[str, Any] = Field(default_factory=dict)
    model: Name | None = None
    tier: Tier | None = None


@routes.post("/query")
async def query(request: web.Request) -> web.Response:
    """Answer a prompt: `{response, model, ...}`."""
    service = request.config_dict[SERVICE]
    body = validate(QueryBody, read_object(await read_body(request)))
    if not body.prompt.strip():
        raise EmptyPrompt("The prompt is empty. Say what you want.", field="prompt")
    model, named = _model(service, body.model, body.tier)
    params = {"context": orjson.dumps(body.context, option=orjson.OPT_INDENT_2).decode()}
    value = {"template": "query", "prompt": body.prompt, "params": params, "model": model}
    if body.max_tokens is not None and "max_tokens" in _options(service, model):
        value["options"] = {"max_tokens": body.max_tokens}
    run, fold = await _wait(request, service, "generate", value, _tier(body))
    if fold.terminal is None:
        raise BudgetExceeded(
            f"No answer within {service.settings.director.budget_seconds:g} s.", run=run.id
        )
    named |= _answered(answering_model(run.info, fold), model)
    return _reply(run, fold, {"response": "".join(fold.text)} | named)


@routes.post("/evaluate_sufficiency")
async def evaluate_sufficiency(request: web.Request) -> web.Response:
    """Judge a stage: `{is_sufficient, reasoning, ...}`.

    When time runs out, what has been judged decides as far as it can: never "sufficient".
    """
    service = request.config_dict[SERVICE]
    body = validate(SufficiencyBody, read_object(await read_body(request)))
    model, named = _model(service, body.model, body.tier)
    value = {
        "stage_name": body.stage_name,
        "stage_data": body.stage_data,
        "project_state": body.project_state,
        "documents": [{"id": "stage", "text": body.stage_name}],
        "model": model,
    }
    run, fold = await _wait(request, service, "evaluate", value, _tier(body))
    if fold.terminal is not None:
        result = fold.terminal["result"]
        named |= _answered(result["judge"], model)
        return _reply(run, fold, result | named | {"partial": False})
    items = [item["value"] for item in fold.items]
    if not items:
        raise BudgetExceeded(
            f"Nothing was judged within {service.settings.director.budget_seconds:g} s.",
            run=run.id,
        )
    computed = judge(items, {item["id"]: [item["rating"]] for item in items}, 0.7)
    verdict = "insufficient" if computed["blocking"] else "uncertain"
    said = "\n".join(f"{item['title']}: {item['rating']}. {item['reason']}" for item in items)
    partial = {
        "is_sufficient": False,
        "verdict": verdict,
        "partial": True,
        "criteria": items,
        "reasoning": f"Time ran out after {len(items)} criteria; not all were judged.\n{said}",
    }
    return _reply(run, fold, computed | partial | named)


def _model(service: Service, model: str | None, tier: str | None) -> tuple[str, dict[str, Any]]:
    """The model that answers, and what the reply says about it."""
    asked = model or tier
    fallback = service.settings.director.fallback_model
    for name in (model, tier):
        if name is None:
            continue
        try:
            adapter = service.catalog.find(name)
        except UnknownModel:
            continue
        if not adapter.lacks_key:
            told = {"requested_model": asked, "fallback": name != asked}
            return adapter.id, {"model": adapter.id} | told
    found = service.catalog.find(fallback, field="director.fallback_model").id
    return found, {"model": found, "requested_model": asked, "fallback": asked is not None}


def _tier(body: QueryBody | SufficiencyBody) -> str:
    """The tier that was asked for, by either of its names."""
    return next((name for name in (body.tier, body.model) if name in TIERS), None) or ""


def _options(service: Service, model: str) -> dict[str, Any]:
    properties: dict[str, Any] = service.catalog.find(model).options_schema.get("properties", {})
    return properties


async def _wait(
    request: web.Request,
    service: Service,
    recipe: str,
    value: dict[str, Any],
    tier: str,
) -> tuple[Run, Fold]:
    """Start the run and read it to its end, or for as long as the Director waits.

    A run that is not done then is given up; what was read of it is in the fold, whose
    `terminal` is None.

    Raises:
        StreamError: the run failed, with its own error.
        RunCancelled: somebody else ended it.
    """
    caller = Caller(request[REQUEST_ID], new_claim(), principal_of(request), waits=True)
    spec = replace(spec_of(service.intake, recipe, value, caller), tier=tier)
    run, _ = await launch(service, spec, caller)
    fold = Fold()
    with run.subscribe() as subscription:
        try:
            async with asyncio.timeout(service.settings.director.budget_seconds):
                async for events in subscription.batches():
                    for event in events:
                        fold.add(event)
        except TimeoutError:
            # Its end may have come in this very turn.
            while events := subscription.take():
                for event in events:
                    fold.add(event)
            if fold.terminal is None:
                run.release(caller.claim)
                return run, fold
    if isinstance(run.error, StreamError):
        raise run.error
    if run.error is not None:
        raise InternalError("The service failed while it worked on this.", run=run.id)
    if run.state == "cancelled":
        raise RunCancelled("The run was cancelled before it had answered.", run=run.id)
    return run, fold


def _answered(answered: str, asked: str) -> dict[str, Any]:
    """What the reply says if a fallback of the model that was to answer did."""
    return {} if answered == asked else {"model": answered, "fallback": True}


def _reply(run: Run, fold: Fold, value: dict[str, Any]) -> web.Response:
    terminal = fold.terminal or {}
    body = {"id": run.id, **value, "usage": terminal.get("usage")}
    return json_response(body, headers={"X-Run-Id": run.id})
