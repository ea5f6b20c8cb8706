"""How sharing with other replicas goes: as Prometheus metrics, and a warning where it does not."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import prometheus_client as prom
import structlog
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from llm_stream.config import Settings
from llm_stream.metrics import LATENCY_BUCKETS

if TYPE_CHECKING:
    from llm_stream.engine.redislog.replicas import Replicas

log = structlog.get_logger("llm_stream.sharing")


def warn_of_own_cache(settings: Settings) -> None:
    """Say so where replicas share runs and each has a cache of its own."""
    cache = settings.cache
    if settings.redis.url and cache.enabled and not cache.url:
        log.warning(
            "cache.not_shared",
            detail="An invalidation reaches the one process it is sent to. Set cache.url.",
        )


def watch_replicas(registry: prom.CollectorRegistry, replicas: "Replicas") -> None:
    """Show from now on, in this registry, how the shared log is doing."""
    seconds = prom.Histogram(
        "llm_stream_redis_seconds",
        "Calls to the shared log, failed ones included.",
        buckets=LATENCY_BUCKETS,
        registry=registry,
    )
    replicas.link.on_call = seconds.observe
    registry.register(_Sharing(replicas))


class _Sharing(Collector):
    def __init__(self, replicas: "Replicas") -> None:
        self._replicas = replicas

    def collect(self) -> Iterator[Metric]:
        own, name = self._replicas, "llm_stream_"
        yield GaugeMetricFamily(
            name + "redis_up", "Whether the shared log takes what runs say.", int(own.durable)
        )
        yield GaugeMetricFamily(
            name + "redis_behind", "Runs of which the shared log lacks events.", own.mirror.behind
        )
        yield CounterMetricFamily(
            name + "redis_failures", "Calls without an answer.", own.link.failures
        )
        yield CounterMetricFamily(
            name + "log_unavailable", "Writes that the shared log refused.", own.mirror.refusals
        )
        yield GaugeMetricFamily(
            name + "remote_runs", "Other replicas' runs followed here.", len(own.tail.runs)
        )
        yield CounterMetricFamily(
            name + "remote_joins", "Calls that joined another replica's.", own.flights.joined
        )
        yield CounterMetricFamily(
            name + "takeovers", "Runs of lost replicas taken over.", own.watch.taken
        )
