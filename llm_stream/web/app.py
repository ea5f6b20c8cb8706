"""The composition root: settings in, one `aiohttp` application out."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Final

import structlog
from aiohttp import web

from llm_stream.config import Settings
from llm_stream.engine.directory import RunDirectory
from llm_stream.engine.load import GuardedGate, LoadGuard
from llm_stream.engine.registry import RunRegistry
from llm_stream.errors import ModelUnavailable
from llm_stream.history.figures import HistoryFigures
from llm_stream.launcher import Launcher
from llm_stream.logs import RunLog
from llm_stream.metrics import Metrics
from llm_stream.models.adapter import AnyModel
from llm_stream.models.local import LocalModel
from llm_stream.models.resilience.figures import UpstreamFigures
from llm_stream.models.resilience.upstreams import Upstreams
from llm_stream.models.syncbridge import SyncThreads
from llm_stream.recipes.prompts import PromptLibrary
from llm_stream.resources import resource, site
from llm_stream.restarting import Restarter
from llm_stream.web import descriptions, director, entries, info, past, rest, tickets, usage, ws
from llm_stream.web.express import EXPRESS, Express
from llm_stream.web.hosts import AllowedHosts
from llm_stream.web.idempotency import IdempotencyKeys
from llm_stream.web.intake import Intake
from llm_stream.web.middleware import add_headers, identify_and_log
from llm_stream.web.openaidoor import chat, responses
from llm_stream.web.openaidoor.earlier import Earlier
from llm_stream.web.pages import Pages
from llm_stream.web.parts import (
    make_access,
    make_cache,
    make_catalog,
    make_history,
    make_link,
    make_local,
    make_prices,
    make_probes,
    make_providers,
    make_recipes,
    make_replicas,
    make_tracing,
    template_folder,
)
from llm_stream.web.problems import problem
from llm_stream.web.recipes import RECIPES
from llm_stream.web.service import SERVICE, Service
from llm_stream.web.sharing import warn_of_own_cache, watch_replicas

PARTS: Final = (
    rest, entries, usage, past, director, ws, info, descriptions, tickets, chat, responses,
)  # fmt: skip
"""Whose routes the application has."""

log = structlog.get_logger("llm_stream.app")


async def create_app(settings: Settings, own_models: Sequence[AnyModel] = ()) -> web.Application:
    """Build the service; blocking parts (plugins, files, weights) run in threads.

    The application owns what is made here and closes it at its cleanup: runs still live then
    are cancelled with reason `shutdown`.

    Args:
        settings: the whole configuration.
        own_models: further `llm` models, scripted ones say; they win over a plugin's.

    Raises:
        TemplateFault: a template file cannot be used (the operator's doing).
    """
    local = await asyncio.to_thread(make_local, settings)
    threads = SyncThreads(settings.models.sync_threads)
    own = [*([local] if local else []), *own_models]
    upstreams = Upstreams(settings.models)
    providers = await asyncio.to_thread(make_providers, settings, upstreams.note_limits)
    catalog = await asyncio.to_thread(make_catalog, settings, threads, own, providers)
    prompts = await asyncio.to_thread(PromptLibrary.load, template_folder(settings))
    pages = await asyncio.to_thread(Pages, resource("static"), resource("docs"), site())
    metrics = Metrics(catalog.label_of)
    link = make_link(settings)
    access = make_access(settings, link)
    tracing = await asyncio.to_thread(make_tracing, settings)
    registry = RunRegistry(
        retention_seconds=settings.runs.retention_seconds,
        retention_bytes=settings.runs.retention_bytes,
        observers=(
            metrics.runs,
            RunLog(titles=settings.logging.prompts),
            access.limits,
            *([tracing] if tracing else []),
        ),
    )
    history = make_history(settings)
    cache = make_cache(settings, metrics, history, catalog.label_of)
    replicas = make_replicas(settings, registry, link)
    limits = settings.limits
    load = LoadGuard(limits.late_seconds)
    gate = GuardedGate(limits.concurrent_runs, limits.queued_runs, "the service", load)
    service = Service(
        settings=settings,
        catalog=catalog,
        prompts=prompts,
        registry=registry,
        runs=RunDirectory(registry, None if replicas is None else replicas.remote),
        replicas=replicas,
        cache=cache,
        history=history,
        launcher=Launcher(
            make_recipes(catalog, prompts, upstreams),
            registry,
            cache,
            gate,
            max_log_bytes=settings.runs.max_log_bytes,
            describe_error=problem,
            flights=None if replicas is None else replicas.flights,
            history=history,
        ),
        intake=Intake(
            catalog,
            prompts,
            limits=settings.limits,
            models=settings.models,
            runs=settings.runs,
        ),
        metrics=metrics,
        upstreams=upstreams,
        probes=make_probes(providers, upstreams),
        tracing=tracing,
        access=access,
        load=load,
        hosts=AllowedHosts(settings.server.allowed_hosts, settings.server.host),
        local=local,
        prices=make_prices(settings),
        idempotency=IdempotencyKeys(
            settings.runs.retention_seconds,
            shared=None if replicas is None else replicas.idempotency,
        ),
    )
    warn_of_own_cache(settings)
    if replicas is not None:
        replicas.succession.heir = Restarter(
            service.launcher.production, registry, gate, replicas.flights
        )
        watch_replicas(metrics.registry, replicas)
    metrics.watch_cache(cache)
    metrics.watch_load(load)
    metrics.registry.register(UpstreamFigures(upstreams, catalog.label_of))
    metrics.watch(registry, lambda: len(service.sockets), lambda: len(service.streams))
    if history is not None:
        metrics.registry.register(HistoryFigures(history.facts))

    app = web.Application(
        middlewares=[identify_and_log], client_max_size=settings.server.body_bytes
    )
    app[SERVICE] = service
    app[EXPRESS] = Express(service)
    app[responses.EARLIER] = Earlier(
        service.runs,
        settings.runs.retention_seconds,
        history,
        None if replicas is None else replicas.notes,
    )
    app.on_response_prepare.append(add_headers)
    for recipe in RECIPES:
        app.router.add_post(f"/v1/{recipe}", rest.start)
    for part in PARTS:
        app.add_routes(part.routes)
    if settings.telemetry.metrics:
        app.router.add_get("/metrics", info.metrics)
    pages.add_routes(app)

    app.cleanup_ctx.append(lambda _app: lifetime(service, local, threads))
    # Contexts are left before: no run asks a provider any more.
    app.on_cleanup.append(lambda _app: providers.close())
    return app


async def lifetime(
    service: Service, local: LocalModel | None, threads: SyncThreads
) -> AsyncIterator[None]:
    """Start what has tasks of its own; at the end stop it, runs before what they need."""
    metrics, replicas, history = service.metrics, service.replicas, service.history
    every = service.settings.telemetry.loop_lag_seconds
    lag = asyncio.create_task(service.load.watch(every, metrics.loop_lag.observe), name="loop-lag")
    if local is not None and local.available:
        try:
            await local.load()
        except ModelUnavailable as error:
            # Other models are not touched; whoever asks this one is told the same.
            log.warning("local.unavailable", detail=error.detail)
    await service.access.open()
    if replicas is not None:
        replicas.start()
    if history is not None:
        history.start()
    service.probes.start()
    yield
    await service.probes.close()
    await service.registry.close()
    await service.access.close()
    if replicas is not None:
        await replicas.close()
    await service.cache.close()
    if history is not None:
        await history.close()
    if service.tracing is not None:
        await service.tracing.close()
    lag.cancel()
    await asyncio.gather(lag, return_exceptions=True)
    if local is not None:
        await local.close()
    threads.close()
