"""What runs leave behind when they end, as Prometheus metrics."""

import time
from collections.abc import Callable
from functools import lru_cache

import prometheus_client as prom

from llm_stream.engine.run import Run
from llm_stream.errors import InternalError, StreamError
from llm_stream.events import decoded
from llm_stream.metrics.buckets import LATENCY_BUCKETS, SHORT_BUCKETS


class RunFigures:
    """An observer of runs; nothing here happens while one is under way.

    What concerns models is counted of generate runs only: they call models, and other recipes
    report again what their inner runs have spent.

    Args:
        registry: where the metrics are shown.
        label_of: what a model is called, by its id; of few names (`ModelCatalog.label_of`).
        clock: monotonic seconds.
    """

    def __init__(
        self,
        registry: prom.CollectorRegistry,
        label_of: Callable[[str], str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._label_of = label_of
        self._clock = clock
        each = lru_cache(1024)  # finding one by its labels costs as much as counting
        self._finished = each(
            prom.Counter(
                "llm_stream_runs", "Runs that ended.", ["recipe", "outcome"], registry=registry
            ).labels
        )
        self._errors = each(
            prom.Counter(
                "llm_stream_errors", "Runs that failed, by error code.", ["code"], registry=registry
            ).labels
        )
        # There from the start: an alert sees a rise only from a value that was there.
        self._errors(InternalError.code)
        self._cancels = each(prom.Counter(
            "llm_stream_cancels", "Runs that were cancelled, by reason.", ["reason"],
            registry=registry,
        ).labels)  # fmt: skip
        self._first_token = each(
            prom.Histogram(
                "llm_stream_first_token_seconds",
                "From a run's creation to its first visible output.",
                ["recipe"],
                buckets=LATENCY_BUCKETS,
                registry=registry,
            ).labels
        )
        self._total = each(
            prom.Histogram(
                "llm_stream_run_seconds",
                "From a run's creation to its end.",
                ["recipe"],
                buckets=LATENCY_BUCKETS,
                registry=registry,
            ).labels
        )
        self._queued = prom.Histogram(
            "llm_stream_queue_seconds",
            "How long runs waited for a slot.",
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        self._own = prom.Histogram(
            "llm_stream_own_seconds",
            "What completed answers took beside queues, calls of models and pauses between them.",
            buckets=SHORT_BUCKETS,
            registry=registry,
        )
        self._gaps = each(
            prom.Histogram(
                "llm_stream_chunk_seconds",
                "Time between two pieces of an answer, its mean, once an answer.",
                ["model"],
                buckets=SHORT_BUCKETS,
                registry=registry,
            ).labels
        )
        self._longest = each(
            prom.Histogram(
                "llm_stream_longest_gap_seconds",
                "Longest time between two pieces of an answer.",
                ["model"],
                buckets=LATENCY_BUCKETS,
                registry=registry,
            ).labels
        )
        self._tokens = each(
            prom.Counter(
                "llm_stream_tokens",
                "Tokens that models reported.",
                ["model", "direction"],
                registry=registry,
            ).labels
        )
        self._chunks = prom.Counter(
            "llm_stream_chunks", "Text chunks streamed by models.", registry=registry
        )
        self._under_way: set[Run] = set()
        live = prom.Gauge(
            "llm_stream_chunks_live", "Text chunks of runs under way.", registry=registry
        )
        live.set_function(lambda: sum(run.tally.chunks for run in self._under_way))

    def run_started(self, run: Run) -> None:
        """See `RunObserver`; all other gauges are read from the registry instead."""
        # As at its end: what a paced replay says again no model says.
        if run.info.recipe == "generate" and run.info.cache != "hit":
            self._under_way.add(run)

    def run_finished(self, run: Run) -> None:
        """Count one ended run."""
        self._under_way.discard(run)
        if run.info.cache == "hit" or run.superseded:
            return  # a paced replay, which the cache's figures have; or another replica's by now
        recipe, figures = run.info.recipe, run.statistics()
        self._finished(recipe, figures.state).inc()
        self._total(recipe).observe(figures.total_ms / 1000)
        if run.info.parent is None:  # inner runs pass no gate
            self._queued.observe(figures.queued_ms / 1000)
        if figures.first_token_ms is not None:
            self._first_token(recipe).observe(figures.first_token_ms / 1000)
        if recipe == "generate":
            self._asked_a_model(run)
        if run.error is not None:
            code = run.error.code if isinstance(run.error, StreamError) else InternalError.code
            self._errors(code).inc()
        if figures.state == "cancelled" and run.done:
            self._cancels(decoded(run.log.newest)["reason"]).inc()

    def _asked_a_model(self, run: Run) -> None:
        tally, figures = run.tally, run.statistics()
        model = self._label_of(tally.model or run.info.model)
        self._chunks.inc(figures.chunks)
        if figures.input_tokens is not None:
            self._tokens(model, "input").inc(figures.input_tokens)
        if figures.output_tokens is not None:
            self._tokens(model, "output").inc(figures.output_tokens)
        if (mean := tally.mean_gap_ms) is not None:
            self._gaps(model).observe(mean / 1000)
            self._longest(model).observe(tally.longest_gap_ms / 1000)
        if figures.state == "completed":
            self._own.observe(max(0.0, self._clock() - run.log.born - tally.waited_seconds))
