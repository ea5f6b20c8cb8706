"""All metrics of one service in one registry, and those of its wires."""

from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import TypeVar

import prometheus_client as prom
from prometheus_async import aio

from llm_stream import __version__
from llm_stream.cache.answers import AnswerCache
from llm_stream.engine.load import LoadGuard
from llm_stream.engine.registry import RunRegistry
from llm_stream.metrics.buckets import LATENCY_BUCKETS
from llm_stream.metrics.gauges import CacheFigures, LoadFigures, RunGauges
from llm_stream.metrics.runs import RunFigures

T = TypeVar("T")


class Metrics:
    """All metrics of one service, in a registry of their own.

    Labels are bounded: recipes, outcomes, route patterns, error codes, and models' ids or what
    stands for those that only a request has named.

    Args:
        label_of: what a model is called, by its id; of few names (`ModelCatalog.label_of`).

    Attributes:
        registry: what /metrics shows.
        runs: those of runs, an observer.
    """

    def __init__(self, label_of: Callable[[str], str] = str) -> None:
        self.registry = prom.CollectorRegistry()
        self.runs = RunFigures(self.registry, label_of)
        self._request_seconds = prom.Histogram(
            "llm_stream_http_request_seconds",
            "HTTP requests; streams last as long as their reader.",
            ["method", "path"],
            buckets=LATENCY_BUCKETS,
            registry=self.registry,
        )
        self._seconds_of = lru_cache(1024)(self._request_seconds.labels)
        self._responses = prom.Counter(
            "llm_stream_http_responses",
            "HTTP responses by status.",
            ["method", "path", "status"],
            registry=self.registry,
        )
        self._responses_of = lru_cache(1024)(self._responses.labels)
        self.joins = prom.Counter(
            "llm_stream_joins", "Requests that joined a run under way.", registry=self.registry
        )
        self.resumes = prom.Counter(
            "llm_stream_resumes", "Subscriptions from behind a cursor.", registry=self.registry
        )
        self.gaps = prom.Counter(
            "llm_stream_gaps", "Readers told that events were lost.", registry=self.registry
        )
        self.slow_readers = prom.Counter(
            "llm_stream_slow_readers", "Connections cut for not reading.", registry=self.registry
        )
        self.late_requests = prom.Counter(
            "llm_stream_late_requests",
            "Connections closed because a request did not arrive in time.",
            registry=self.registry,
        )
        self.cache_redis_seconds = prom.Histogram(
            "llm_stream_cache_redis_seconds",
            "Calls to the cache's Redis.",
            buckets=LATENCY_BUCKETS,
            registry=self.registry,
        )
        self.loop_lag = prom.Histogram(
            "llm_stream_loop_lag_seconds",
            "How late the event loop woke a timer.",
            buckets=LATENCY_BUCKETS,
            registry=self.registry,
        )
        about = prom.Info("llm_stream", "What is running.", registry=self.registry)
        about.info({"version": __version__})
        prom.ProcessCollector(registry=self.registry)

    def watch(
        self, registry: RunRegistry, sockets: Callable[[], int], streams: Callable[[], int]
    ) -> None:
        """Show the registry's gauges, and how many connections stream, from now on."""
        self.registry.register(RunGauges(registry, sockets, streams))

    def watch_load(self, load: LoadGuard) -> None:
        """Show how many runs were refused because the loop was late, from now on."""
        self.registry.register(LoadFigures(load))

    def watch_cache(self, cache: AnswerCache) -> None:
        """Show the cache's figures from now on."""
        self.registry.register(CacheFigures(cache))

    def timed(self, method: str, path: str, answer: Awaitable[T]) -> Awaitable[T]:
        """`answer`, observed for how long it takes; `path` is a route's pattern."""
        timed: Awaitable[T] = aio.time(self._seconds_of(method, path), answer)
        return timed

    def observed(self, method: str, path: str, seconds: float) -> None:
        """A request that was answered in so many seconds."""
        self._seconds_of(method, path).observe(seconds)

    def responded(self, method: str, path: str, status: int) -> None:
        """Count one HTTP response."""
        self._responses_of(method, path, status).inc()
