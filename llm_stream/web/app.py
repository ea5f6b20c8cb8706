"""The composition root: settings in, one `aiohttp` application out."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path

import structlog
from aiohttp import web

from llm_stream.cache.answers import AnswerCache
from llm_stream.cache.redisshelf import RedisShelf
from llm_stream.cache.savings import Price
from llm_stream.cache.shelf import MemoryShelf, Shelf
from llm_stream.config import Settings
from llm_stream.engine.gate import Gate
from llm_stream.engine.registry import RunRegistry
from llm_stream.errors import ModelUnavailable
from llm_stream.history.figures import HistoryFigures
from llm_stream.history.history import History
from llm_stream.launcher import Launcher, Recipe
from llm_stream.logs import RunLog
from llm_stream.metrics import Metrics
from llm_stream.models.adapter import AnyModel
from llm_stream.models.catalog import ModelCatalog
from llm_stream.models.keys import Keyring, keys_path
from llm_stream.models.local import LocalModel
from llm_stream.models.plugins import load_plugins
from llm_stream.models.syncbridge import SyncThreads
from llm_stream.models.weights import weights_path
from llm_stream.models.wires.providers import Providers
from llm_stream.recipes.batch import Batch
from llm_stream.recipes.breakdown import Breakdown
from llm_stream.recipes.evaluate import Evaluate
from llm_stream.recipes.generate import Generate
from llm_stream.recipes.prompts import PromptLibrary
from llm_stream.recipes.reason import Reason
from llm_stream.resources import resource
from llm_stream.web import director, entries, info, rest, ws
from llm_stream.web.idempotency import IdempotencyKeys
from llm_stream.web.intake import Intake
from llm_stream.web.middleware import add_headers, identify_and_log, problems
from llm_stream.web.pages import Pages
from llm_stream.web.problems import problem
from llm_stream.web.recipes import RECIPES
from llm_stream.web.service import SERVICE, Service
from llm_stream.web.views import answer

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
    providers = await asyncio.to_thread(make_providers, settings)
    catalog = await asyncio.to_thread(make_catalog, settings, threads, own, providers)
    prompts = await asyncio.to_thread(PromptLibrary.load, template_folder(settings))
    pages = await asyncio.to_thread(Pages, resource("static"), resource("docs"))
    metrics = Metrics()
    registry = RunRegistry(
        retention_seconds=settings.runs.retention_seconds,
        retention_bytes=settings.runs.retention_bytes,
        observers=(metrics, RunLog()),
    )
    recipes: list[Recipe] = [
        Generate(catalog, prompts, problem),
        Evaluate(prompts),
        Breakdown(prompts),
        Reason(prompts),
        Batch(answer, problem),
    ]
    history = make_history(settings)
    cache = make_cache(settings, metrics, history)
    service = Service(
        settings=settings,
        catalog=catalog,
        prompts=prompts,
        registry=registry,
        cache=cache,
        history=history,
        launcher=Launcher(
            {each.name: each for each in recipes},
            registry,
            cache,
            Gate(settings.limits.concurrent_runs, settings.limits.queued_runs, "the service"),
            max_log_bytes=settings.runs.max_log_bytes,
            describe_error=problem,
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
        idempotency=IdempotencyKeys(settings.runs.retention_seconds),
    )
    metrics.watch_cache(cache)
    metrics.watch(registry, lambda: len(service.sockets))
    if history is not None:
        metrics.registry.register(HistoryFigures(history.facts))

    app = web.Application(
        middlewares=[identify_and_log, problems], client_max_size=settings.server.body_bytes
    )
    app[SERVICE] = service
    app.on_response_prepare.append(add_headers)
    for recipe in RECIPES:
        app.router.add_post(f"/v1/{recipe}", rest.start)
    for routes in (rest.routes, entries.routes, director.routes, ws.routes, info.routes):
        app.add_routes(routes)
    if settings.telemetry.metrics:
        app.router.add_get("/metrics", info.metrics)
    pages.add_routes(app)

    async def lifetime(_app: web.Application) -> AsyncIterator[None]:
        lag = asyncio.create_task(
            metrics.measure_loop_lag(settings.telemetry.loop_lag_seconds), name="loop-lag"
        )
        if local is not None and local.available:
            try:
                await local.load()
            except ModelUnavailable as error:
                # Other models are not touched; whoever asks this one is told the same.
                log.warning("local.unavailable", detail=error.detail)
        if history is not None:
            history.start()
        yield
        await registry.close()
        await cache.close()
        if history is not None:
            await history.close()
        lag.cancel()
        await asyncio.gather(lag, return_exceptions=True)
        if local is not None:
            await local.close()
        await providers.close()
        threads.close()

    app.cleanup_ctx.append(lifetime)
    return app


def make_providers(settings: Settings) -> Providers:
    """The configured providers, with the keys of the environment and of llm's store."""
    return Providers(settings.providers, Keyring(os.environ, keys_path()))


def make_catalog(
    settings: Settings,
    threads: SyncThreads,
    own_models: Iterable[AnyModel],
    providers: Providers,
) -> ModelCatalog:
    """Load the configured plugins and resolve every name. Blocking; up to some seconds."""
    return ModelCatalog(
        providers.take_over(load_plugins(settings.models.plugins)),
        threads,
        default=settings.models.default,
        aliases={**providers.aliases, **settings.models.aliases},
        own_models=own_models,
    )


def make_local(settings: Settings) -> LocalModel | None:
    """The embedded model as configured, None if it is switched off."""
    local = settings.local
    if not local.enabled:
        return None
    return LocalModel(
        model_id=local.model_id,
        weights=Path(local.weights) if local.weights else weights_path(),
        context_tokens=local.context_tokens,
        parallel=local.parallel,
        threads=local.threads,
    )


def make_history(settings: Settings) -> History | None:
    """The history as configured, None if it is switched off."""
    history = settings.history
    if not history.enabled:
        return None
    return History(
        Path(history.path) if history.path else None,
        days=history.retention_days,
        max_bytes=history.max_bytes,
        fresh_seconds=settings.cache.ttl_seconds,
        stale_seconds=settings.cache.stale_seconds,
    )


def make_cache(settings: Settings, metrics: Metrics, history: History | None) -> AnswerCache:
    """The cache as configured, the history behind it; nothing is connected before a request."""
    cache = settings.cache
    shelf: Shelf
    if cache.url:
        shelf = RedisShelf(
            cache.url, prefix=cache.prefix, observe=metrics.cache_redis_seconds.observe
        )
    else:
        shelf = MemoryShelf(max_entries=cache.max_entries, max_bytes=cache.max_bytes)
    return AnswerCache(
        shelf,
        ttl_seconds=cache.ttl_seconds,
        stale_seconds=cache.stale_seconds,
        policy=cache.policy if cache.enabled else "none",
        prices={
            name: Price(price.input_per_million, price.output_per_million)
            for name, price in settings.cache.prices.items()
        },
        second=history,
    )


def template_folder(settings: Settings) -> Path:
    """The folder of templates: the configured one, or the one that ships."""
    return Path(settings.templates.folder) if settings.templates.folder else resource("templates")
