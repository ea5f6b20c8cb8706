"""The cache over HTTP: find, read, drop, invalidate, recompute."""

import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Self

from aiohttp import web
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from llm_stream.cache.names import name_of
from llm_stream.cache.stored import Stored
from llm_stream.engine.runinfo import RunInfo
from llm_stream.errors import UnknownEntry, UnknownModel
from llm_stream.recipes.spec import load_spec
from llm_stream.web.auth import principal_of
from llm_stream.web.bodies import Body, Name, read_object, validate
from llm_stream.web.negotiation import JSON_TYPE, SSE_TYPE, chosen_type, json_response, read_body
from llm_stream.web.rest import caller_of, number_of, respond
from llm_stream.web.service import SERVICE, Service
from llm_stream.web.starting import launch
from llm_stream.web.views import answer

KINDS = ("recipe", "model", "template", "tag")

MOST_SKIPPED: Final = 100_000_000
"""More than any cache keeps."""

routes = web.RouteTableDef()


class InvalidateBody(Body):
    """POST /v1/cache/invalidate: one of these; an age alone means all that are that old."""

    all: bool = False
    recipe: Name | None = None
    model: Name | None = None
    template: Name | None = None
    tag: Name | None = None
    older_than_seconds: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        named = [kind for kind in KINDS if getattr(self, kind) is not None]
        if len(named) + self.all > 1 or not (named or self.all or self.older_than_seconds):
            raise PydanticCustomError(
                "one_of", "give one of all, recipe, model, template and tag, or an age"
            )
        return self


@routes.get("/v1/cache")
async def list_entries(request: web.Request) -> web.Response:
    """Entries, newest first (`?limit=`, `?skip=`), of one `?recipe=`, `?model=`, ... if given."""
    service = request.config_dict[SERVICE]
    asked = {kind: request.query[kind] for kind in KINDS if kind in request.query}
    name = _name(request, validate(InvalidateBody, asked or {"all": True}))
    limit = number_of(request, "limit", 50)
    skip = number_of(request, "skip", 0, least=0, most=MOST_SKIPPED)
    shelf = service.cache.shelf
    await service.cache.settled()
    entries = await shelf.page(name, limit=limit, skip=skip)
    return json_response(
        {
            "entries": [described(entry) for entry in entries],
            "total": await shelf.count(name),
            "statistics": service.cache.statistics(),
        }
    )


@routes.get("/v1/cache/{key}")
async def get_entry(request: web.Request) -> web.Response:
    """One entry with its answer."""
    entry = await _entry(request)
    recording = entry.recording
    info = RunInfo(
        id=recording.run,
        recipe=recording.recipe,
        model=recording.model,
        key=recording.key,
        cache="hit",
        structured=recording.structured,
    )
    body = answer(info, recording.fold, joined=False)
    return json_response(described(entry.about) | {"answer": body})


@routes.delete("/v1/cache/{key}")
async def delete_entry(request: web.Request) -> web.Response:
    """Drop one entry; 404 if there is none."""
    entry = await _entry(request)
    dropped = await request.config_dict[SERVICE].cache.drop([entry.recording.key])
    return json_response({"dropped": dropped})


@routes.post("/v1/cache/invalidate")
async def invalidate(request: web.Request) -> web.Response:
    """Drop entries by what they have in common; answers how many there were."""
    service = request.config_dict[SERVICE]
    body = validate(InvalidateBody, read_object(await read_body(request)))
    dropped = await service.cache.invalidate(
        _name(request, body), older_than_seconds=body.older_than_seconds or 0
    )
    return json_response({"dropped": dropped})


@routes.post("/v1/cache/{key}/refresh")
async def refresh(request: web.Request) -> web.StreamResponse:
    """Compute the answer anew and put it in place of the entry; answers as the first call did."""
    entry = await _entry(request)
    kind = chosen_type(request, JSON_TYPE, SSE_TYPE)
    caller = caller_of(request, kind)
    service = request.config_dict[SERVICE]
    try:
        spec = load_spec(entry.request)
    except ValueError as error:
        raise UnknownEntry("The entry cannot be computed anew; drop it.", field="key") from error
    spec = replace(
        spec,
        cache=replace(spec.cache, mode="refresh"),
        abandon_seconds=service.intake.patience(caller),
    )
    return await respond(request, await launch(service, spec, caller), caller, kind)


def described(about: Mapping[str, Any]) -> dict[str, Any]:
    """An entry as a list shows it; `about` as of `Stored.about`."""
    facts = dict(about)
    age = max(0.0, time.time() - facts["stored_at"])
    stored_at = datetime.fromtimestamp(facts["stored_at"], UTC).isoformat(timespec="milliseconds")
    ttl = int(facts.pop("fresh_seconds") - age)
    return facts | {"stored_at": stored_at, "age_seconds": int(age), "ttl_seconds": ttl}


async def _entry(request: web.Request) -> Stored:
    owner = principal_of(request).owner
    entry = await request.config_dict[SERVICE].cache.entry(request.match_info["key"], owner)
    if entry is None:
        raise UnknownEntry("The cache has no entry of this key.", field="key")
    return entry


def _name(request: web.Request, body: InvalidateBody) -> str:
    owner, service = principal_of(request).owner, request.config_dict[SERVICE]
    for kind in KINDS:
        if (value := getattr(body, kind)) is not None:
            return name_of(owner, kind, _model_id(service, value) if kind == "model" else value)
    return name_of(owner, "all")


def _model_id(service: Service, name: str) -> str:
    """The id behind an alias; a model that is gone may have left entries."""
    try:
        return service.catalog.find(name).id
    except UnknownModel:
        return name
