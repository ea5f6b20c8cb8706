"""Prometheus metrics: an observer of runs, and gauges read when somebody asks.

Labels are bounded: recipes, outcomes, route patterns, error codes, and models' ids or what stands
for those that only a request has named.
Nothing here runs once per token.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import lru_cache
from typing import Final, TypeVar

import prometheus_client as prom
from prometheus_async import aio
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from llm_stream.cache.answers import AnswerCache
from llm_stream.engine.registry import RunRegistry
from llm_stream.engine.run import Run
from llm_stream.errors import InternalError, StreamError

T = TypeVar("T")

LATENCY_BUCKETS: Final = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600,
)  # fmt: skip
"""Seconds; from a cached answer to the longest total timeout."""


class Metrics:
    """All metrics of one service, in a registry of their own.

    Args:
        label_of: what a model is called, by its id; of few names (`ModelCatalog.label_of`).

    Attributes:
        registry: what /metrics shows.
    """

    def __init__(self, label_of: Callable[[str], str] = str) -> None:
        self._label_of = label_of
        self.registry = prom.CollectorRegistry()
        self._finished = prom.Counter(
            "llm_stream_runs", "Runs that ended.", ["recipe", "outcome"], registry=self.registry
        )
        self._errors = prom.Counter(
            "llm_stream_errors",
            "Runs that failed, by error code.",
            ["code"],
            registry=self.registry,
        )
        self._first_token = prom.Histogram(
            "llm_stream_first_token_seconds",
            "From a run's creation to its first visible output.",
            ["recipe"],
            buckets=LATENCY_BUCKETS,
            registry=self.registry,
        )
        self._total = prom.Histogram(
            "llm_stream_run_seconds",
            "From a run's creation to its end.",
            ["recipe"],
            buckets=LATENCY_BUCKETS,
            registry=self.registry,
        )
        self._queued = prom.Histogram(
            "llm_stream_queue_seconds",
            "How long runs waited for a slot.",
            buckets=LATENCY_BUCKETS,
            registry=self.registry,
        )
        self._tokens = prom.Counter(
            "llm_stream_tokens",
            "Tokens that models reported.",
            ["model", "direction"],
            registry=self.registry,
        )
        self._chunks = prom.Counter(
            "llm_stream_chunks", "Text chunks streamed by models.", registry=self.registry
        )
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
        self._loop_lag = prom.Histogram(
            "llm_stream_loop_lag_seconds",
            "How late the event loop woke a timer.",
            buckets=LATENCY_BUCKETS,
            registry=self.registry,
        )
        prom.ProcessCollector(registry=self.registry)

    def watch(self, registry: RunRegistry, sockets: Callable[[], int]) -> None:
        """Show the registry's gauges from now on."""
        self.registry.register(_Gauges(registry, sockets))

    def watch_cache(self, cache: AnswerCache) -> None:
        """Show the cache's figures from now on."""
        self.registry.register(_CacheFigures(cache))

    def run_started(self, run: Run) -> None:
        """See `RunObserver`; gauges are read from the registry instead."""

    def run_finished(self, run: Run) -> None:
        """Count one ended run."""
        if run.info.cache == "hit":
            return  # a paced replay; the cache's figures have it
        recipe, figures = run.info.recipe, run.statistics()
        self._finished.labels(recipe, figures.state).inc()
        self._total.labels(recipe).observe(figures.total_ms / 1000)
        self._queued.observe(figures.queued_ms / 1000)
        if figures.first_token_ms is not None:
            self._first_token.labels(recipe).observe(figures.first_token_ms / 1000)
        # Only these call models; recipes report again what their inner runs have spent.
        if recipe == "generate":
            self._chunks.inc(figures.chunks)
            model = self._label_of(run.info.model)
            if figures.input_tokens is not None:
                self._tokens.labels(model, "input").inc(figures.input_tokens)
            if figures.output_tokens is not None:
                self._tokens.labels(model, "output").inc(figures.output_tokens)
        if run.error is not None:
            code = run.error.code if isinstance(run.error, StreamError) else InternalError.code
            self._errors.labels(code).inc()

    def timed(self, method: str, path: str, answer: Awaitable[T]) -> Awaitable[T]:
        """`answer`, observed for how long it takes; `path` is a route's pattern."""
        timed: Awaitable[T] = aio.time(self._seconds_of(method, path), answer)
        return timed

    def responded(self, method: str, path: str, status: int) -> None:
        """Count one HTTP response."""
        self._responses_of(method, path, status).inc()

    async def measure_loop_lag(self, every_seconds: float) -> None:
        """Observe, until cancelled, how late the loop wakes a timer."""
        while True:
            due = time.monotonic() + every_seconds
            await asyncio.sleep(every_seconds)
            self._loop_lag.observe(max(0.0, time.monotonic() - due))


class _Gauges(Collector):
    def __init__(self, registry: RunRegistry, sockets: Callable[[], int]) -> None:
        self._registry = registry
        self._sockets = sockets

    def collect(self) -> Iterator[Metric]:
        runs = self._registry
        yield GaugeMetricFamily("llm_stream_runs_active", "Runs under way.", runs.live)
        yield GaugeMetricFamily("llm_stream_runs_queued", "Runs waiting for a slot.", runs.queued)
        yield GaugeMetricFamily("llm_stream_readers", "Open subscriptions.", runs.readers)
        yield GaugeMetricFamily("llm_stream_log_bytes", "Memory of event logs.", runs.log_bytes)
        yield GaugeMetricFamily("llm_stream_sockets", "Open WebSockets.", self._sockets())


class _CacheFigures(Collector):
    def __init__(self, cache: AnswerCache) -> None:
        self._cache = cache

    def collect(self) -> Iterator[Metric]:
        cache = self._cache
        results = CounterMetricFamily(
            "llm_stream_cache", "What the cache was asked, and what it did.", labels=["event"]
        )
        for event, count in cache.counts.items():
            results.add_metric([event], count)
        yield results
        volume = cache.shelf.volume()
        if volume.entries is not None:
            name = "llm_stream_cache_entries"
            yield GaugeMetricFamily(name, "Entries in memory.", volume.entries)
            name = "llm_stream_cache_bytes"
            yield GaugeMetricFamily(name, "Bytes in memory.", volume.bytes)
            name = "llm_stream_cache_evictions"
            yield CounterMetricFamily(name, "Entries that made room.", volume.evictions)
        yield GaugeMetricFamily(
            "llm_stream_cache_resting", "1 while a faulty backend is left alone.", cache.resting
        )
        tokens = CounterMetricFamily(
            "llm_stream_cache_saved_tokens",
            "Tokens that hits did not cost.",
            labels=["model", "direction"],
        )
        for (model, direction), count in cache.savings.tokens.items():
            tokens.add_metric([model, direction], count)
        yield tokens
        cost = CounterMetricFamily(
            "llm_stream_cache_saved_cost", "What hits did not cost, by models.prices.",
            labels=["model"],
        )  # fmt: skip
        for model, money in cache.savings.cost.items():
            cost.add_metric([model], money)
        yield cost
