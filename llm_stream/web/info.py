"""What there is and how it is: models, templates, health, metrics."""

import time
from typing import Any

import prometheus_client
from aiohttp import web

from llm_stream import __version__
from llm_stream.web.bodies import RenderBody, read_object, validate
from llm_stream.web.conversation import as_text
from llm_stream.web.negotiation import json_response, read_body
from llm_stream.web.readiness import readiness
from llm_stream.web.service import SERVICE

routes = web.RouteTableDef()


@routes.get("/v1/models")
async def list_models(request: web.Request) -> web.Response:
    """All models in OpenAI's list shape with extra fields, aliases, mocks, what failed to load."""
    service = request.config_dict[SERVICE]
    catalog, providers = service.catalog, service.settings.providers
    return json_response(
        {
            "object": "list",
            "data": catalog.describe(),
            "aliases": catalog.aliases,
            "mocks": [name for name, section in providers.items() if section.mock],
            "faults": [{"plugin": f.name, "error": f.error} for f in catalog.faults],
        }
    )


@routes.get("/v1/models/{name:.+}")
async def get_model(request: web.Request) -> web.Response:
    """One model, by id or alias."""
    catalog = request.config_dict[SERVICE].catalog
    return json_response(catalog.described(catalog.find(request.match_info["name"])))


@routes.get("/v1/templates")
async def list_templates(request: web.Request) -> web.Response:
    """All templates."""
    prompts = request.config_dict[SERVICE].prompts
    return json_response({"templates": [template.describe() for template in prompts]})


@routes.get("/v1/templates/{name}")
async def get_template(request: web.Request) -> web.Response:
    """One template."""
    prompts = request.config_dict[SERVICE].prompts
    return json_response(prompts.find(request.match_info["name"]).describe())


@routes.post("/v1/templates/{name}/render")
async def render_template(request: web.Request) -> web.Response:
    """What a model would be asked; no model is called."""
    template = request.config_dict[SERVICE].prompts.find(request.match_info["name"])
    body = validate(RenderBody, read_object(await read_body(request)))
    params = {name: as_text(value) for name, value in body.params.items()}
    rendered = template.render(params, body.prompt)
    return json_response(
        {
            "template": str(template.ref),
            "system": rendered.system,
            "prompt": rendered.prompt,
            "model": template.model,
            "options": dict(template.options),
            "schema": template.schema,
        }
    )


@routes.get("/livez")
async def livez(_request: web.Request) -> web.Response:
    """The process is alive; touches nothing."""
    return web.Response(text="ok\n")


@routes.get("/readyz")
async def readyz(request: web.Request) -> web.Response:
    """200 if new runs can start, else 503 with what is missing; beside it, what else fails."""
    told = readiness(request.config_dict[SERVICE])
    body = {"ready": not told.missing, **told._asdict()}
    return json_response(body, status=503 if told.missing else 200)


@routes.get("/health")
async def health(request: web.Request) -> web.Response:
    """Components in detail; always 200."""
    service = request.config_dict[SERVICE]
    registry, catalog, settings = service.registry, service.catalog, service.settings
    body: dict[str, Any] = {
        "status": "draining" if service.draining.is_set() else "ok",
        "version": __version__,
        "uptime_seconds": round(time.monotonic() - service.began, 1),
        "runs": {
            "active": registry.live,
            "queued": registry.queued,
            "readers": registry.readers,
            "log_bytes": registry.log_bytes,
            "retention_seconds": settings.runs.retention_seconds,
            "durable": service.durable,
        },
        "sockets": len(service.sockets),
        "models": {
            "count": len(catalog),
            "default": catalog.aliases.get("default"),
            "aliases": catalog.aliases,
            "broken_aliases": catalog.broken_aliases,
            "faults": [{"plugin": f.name, "error": f.error} for f in catalog.faults],
        },
        "templates": len(service.prompts),
        "history": None if service.history is None else service.history.facts().describe(),
    }
    if service.replicas is not None:
        body["replica"] = service.replicas.describe()
    return json_response(body)


async def metrics(request: web.Request) -> web.Response:
    """Prometheus text format; routed unless `telemetry.metrics` is off."""
    registry = request.config_dict[SERVICE].metrics.registry
    return web.Response(
        body=prometheus_client.generate_latest(registry),
        headers={"Content-Type": prometheus_client.CONTENT_TYPE_LATEST},
    )
