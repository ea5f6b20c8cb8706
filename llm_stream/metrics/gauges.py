"""Gauges that are read when somebody asks: of runs and of the cache."""

from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from llm_stream.cache.answers import AnswerCache
from llm_stream.engine.load import LoadGuard
from llm_stream.engine.registry import RunRegistry


class RunGauges(Collector):
    """What is under way now.

    Args:
        registry: whose runs.
        sockets: how many WebSockets are open.
        streams: how many responses stream.
    """

    def __init__(
        self, registry: RunRegistry, sockets: Callable[[], int], streams: Callable[[], int]
    ) -> None:
        self._registry = registry
        self._sockets = sockets
        self._streams = streams

    def collect(self) -> Iterator[Metric]:
        """The figures now."""
        runs = self._registry
        yield GaugeMetricFamily("llm_stream_runs_active", "Runs under way.", runs.live)
        yield GaugeMetricFamily("llm_stream_runs_queued", "Runs waiting for a slot.", runs.queued)
        yield GaugeMetricFamily("llm_stream_readers", "Open subscriptions.", runs.readers)
        yield GaugeMetricFamily("llm_stream_log_bytes", "Memory of event logs.", runs.log_bytes)
        yield GaugeMetricFamily("llm_stream_sockets", "Open WebSockets.", self._sockets())
        yield GaugeMetricFamily("llm_stream_streams", "Open SSE responses.", self._streams())
        yield GaugeMetricFamily(
            "llm_stream_draining", "1 while the service is shutting down.", int(runs.draining)
        )


class LoadFigures(Collector):
    """What was refused so that the rest keeps its pace.

    Args:
        load: who refuses.
    """

    def __init__(self, load: LoadGuard) -> None:
        self._load = load

    def collect(self) -> Iterator[Metric]:
        """The figures now."""
        yield CounterMetricFamily(
            "llm_stream_overloaded",
            "Runs refused because the event loop was late.",
            self._load.refused,
        )


class CacheFigures(Collector):
    """What the cache was asked, did, holds and saved.

    Args:
        cache: whose figures.
    """

    def __init__(self, cache: AnswerCache) -> None:
        self._cache = cache

    def collect(self) -> Iterator[Metric]:
        """The figures now."""
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
        rate = cache.statistics()["hit_rate"]
        if rate is not None:
            yield GaugeMetricFamily(
                "llm_stream_cache_hit_rate", "Hits of all that asked, since the start.", rate
            )
        yield GaugeMetricFamily(
            "llm_stream_cache_resting", "1 while a faulty backend is left alone.", cache.resting
        )
        yield from self._saved()

    def _saved(self) -> Iterator[Metric]:
        tokens = CounterMetricFamily(
            "llm_stream_cache_saved_tokens",
            "Tokens that hits did not cost.",
            labels=["model", "direction"],
        )
        for (model, direction), count in self._cache.savings.tokens.items():
            tokens.add_metric([model, direction], count)
        yield tokens
        cost = CounterMetricFamily(
            "llm_stream_cache_saved_cost", "What hits did not cost, by cache.prices.",
            labels=["model"],
        )  # fmt: skip
        for model, money in self._cache.savings.cost.items():
            cost.add_metric([model], money)
        yield cost
