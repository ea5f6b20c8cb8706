"""Parts of the service, made as the settings say."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from llm_stream.access.access import Access
from llm_stream.access.counters import RedisCounters
from llm_stream.access.limits import ClientLimits
from llm_stream.access.principal import Allowance
from llm_stream.access.roster import Roster
from llm_stream.access.tickets import RedisTickets, Tickets
from llm_stream.cache.answers import AnswerCache
from llm_stream.cache.savings import Price
from llm_stream.cache.shelf import MemoryShelf, Shelf
from llm_stream.config import Settings
from llm_stream.engine.registry import RunRegistry
from llm_stream.history.history import History
from llm_stream.metrics import Metrics
from llm_stream.models.adapter import AnyModel
from llm_stream.models.catalog import ModelCatalog
from llm_stream.models.keys import Keyring, keys_path
from llm_stream.models.local import LocalModel
from llm_stream.models.plugins import load_plugins
from llm_stream.models.probes import Probed, Probes
from llm_stream.models.resilience.upstreams import Upstreams
from llm_stream.models.syncbridge import SyncThreads
from llm_stream.models.weights import weights_path
from llm_stream.models.wires.providers import Providers
from llm_stream.models.wires.ratelimits import NoteLimits
from llm_stream.recipes.attempts import Attempts
from llm_stream.recipes.batch import Batch
from llm_stream.recipes.breakdown import Breakdown
from llm_stream.recipes.evaluate import Evaluate
from llm_stream.recipes.generate import Generate
from llm_stream.recipes.prompts import PromptLibrary
from llm_stream.recipes.reason import Reason
from llm_stream.recipes.recipe import Recipe
from llm_stream.resources import resource
from llm_stream.tracing.observer import Tracing
from llm_stream.web.problems import problem
from llm_stream.web.views import answer

if TYPE_CHECKING:
    from llm_stream.engine.redislog.link import RedisLink
    from llm_stream.engine.redislog.replicas import Replicas

log = structlog.get_logger("llm_stream.app")


def make_recipes(
    catalog: ModelCatalog, prompts: PromptLibrary, upstreams: Upstreams
) -> dict[str, Recipe]:
    """The table of use cases."""
    recipes: list[Recipe] = [
        Generate(prompts, Attempts(catalog, upstreams, problem)),
        Evaluate(prompts),
        Breakdown(prompts),
        Reason(prompts),
        Batch(answer, problem),
    ]
    return {recipe.name: recipe for recipe in recipes}


def make_providers(settings: Settings, note_limits: NoteLimits | None = None) -> Providers:
    """The configured providers, with the keys of the environment and of llm's store."""
    return Providers(settings.providers, Keyring(os.environ, keys_path()), note_limits)


def make_probes(providers: Providers, upstreams: Upstreams) -> Probes:
    """What looks after idle providers, as configured; at nothing until it is started."""
    return Probes(
        [
            Probed(where, kind, seconds, upstreams.breaker_of(where.provider, where.base_url))
            for where, kind, seconds in providers.to_probe()
        ],
        upstreams.probes,
    )


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


def make_cache(
    settings: Settings, metrics: Metrics, history: History | None, label_of: Callable[[str], str]
) -> AnswerCache:
    """The cache as configured, the history behind it; nothing is connected before a request."""
    cache = settings.cache
    shelf: Shelf
    if cache.url:
        from llm_stream.cache.redisshelf import RedisShelf  # noqa: PLC0415 - as in `make_link`

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
        prices=make_prices(settings),
        label_of=label_of,
        second=history,
    )


def make_prices(settings: Settings) -> dict[str, Price]:
    """What models cost, by id: the one table that savings and the account go by."""
    return {
        name: Price(price.input_per_million, price.output_per_million)
        for name, price in settings.cache.prices.items()
    }


def clients_path(settings: Settings) -> Path:
    """Where clients stand: the configured file, or one in llm's folder."""
    configured = settings.auth.clients_file
    return Path(configured) if configured else keys_path().with_name("llm-stream-clients.toml")


def make_link(settings: Settings) -> "RedisLink | None":
    """The way to the Redis that replicas share, None without one."""
    if not settings.redis.url:
        return None
    from llm_stream.engine.redislog.link import RedisLink  # noqa: PLC0415 - 7 MB of a client

    return RedisLink(settings.redis.url)


def make_access(settings: Settings, link: "RedisLink | None") -> Access:
    """Who may do what, as configured; with what all replicas have in common in their Redis."""
    auth, prefix = settings.auth, settings.redis.prefix
    roster = Roster(
        clients_path(settings),
        required=auth.required,
        shared=auth.share == "shared",
        usual=Allowance(
            auth.runs_per_second or None,
            auth.concurrent_runs or None,
            auth.sockets or None,
            auth.tokens_per_minute or None,
            auth.tokens_per_day or None,
        ),
    )
    if link is None:
        return Access(roster=roster)
    from llm_stream.access.places import (  # noqa: PLC0415 - as in `make_link`
        HeldPlaces,
        RedisPlaces,
    )

    return Access(
        roster=roster,
        limits=ClientLimits(RedisCounters(link, prefix), HeldPlaces(RedisPlaces(link, prefix))),
        tickets=Tickets(RedisTickets(link, prefix)),
    )


def make_replicas(
    settings: Settings, registry: RunRegistry, link: "RedisLink | None"
) -> "Replicas | None":
    """This process as one of several replicas, None without a Redis to meet in."""
    redis = settings.redis
    if link is None:
        return None
    from llm_stream.engine.redislog.replicas import Replicas  # noqa: PLC0415 - as in `make_link`

    return Replicas(
        link,
        redis.prefix,
        registry,
        retention_seconds=settings.runs.retention_seconds,
        lost_seconds=redis.owner_lost_seconds,
        policy=redis.on_owner_lost,
        describe_error=problem,
    )


def make_tracing(settings: Settings) -> Tracing | None:
    """Traces as configured; None without an address, or without the extra that they need."""
    telemetry = settings.telemetry
    if not telemetry.traces_url:
        return None
    try:
        from llm_stream.tracing.otel import sender_to  # noqa: PLC0415 - paid for by who wants it
    except ImportError as error:
        log.warning(
            "traces.unavailable",
            detail=f"{error}. telemetry.traces_url needs: pip install 'llm-stream[otel]'",
        )
        return None
    return Tracing(sender_to(telemetry.traces_url, telemetry.service_name))


def template_folder(settings: Settings) -> Path:
    """The folder of templates: the configured one, or the one that ships."""
    return Path(settings.templates.folder) if settings.templates.folder else resource("templates")
