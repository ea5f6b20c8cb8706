"""How models fare, for Prometheus."""

from collections.abc import Iterator
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from llm_stream.models.resilience.breaker import State
from llm_stream.models.resilience.upstreams import Upstreams

STATES: Final[dict[State, int]] = {"closed": 0, "half-open": 1, "open": 2}
"""What the gauge of a breaker shows."""


class UpstreamFigures(Collector):
    """Reads the figures when somebody asks. Labels are ids of the catalog and error codes.

    Args:
        upstreams: whose figures.
    """

    def __init__(self, upstreams: Upstreams) -> None:
        self._upstreams = upstreams

    def collect(self) -> Iterator[Metric]:
        """The figures now."""
        attempts = CounterMetricFamily(
            "llm_stream_attempts",
            'Calls of models by error code; "ok" = answered.',
            labels=["model", "code"],
        )
        for (model, code), count in self._upstreams.attempts.items():
            attempts.add_metric([model, code], count)
        yield attempts
        mended = CounterMetricFamily(
            "llm_stream_mended", "What became of answers that broke off.", labels=["outcome"]
        )
        for outcome, count in self._upstreams.mended.items():
            mended.add_metric([outcome], count)
        yield mended
        breakers = GaugeMetricFamily(
            "llm_stream_breaker", "0 closed, 1 half-open, 2 open.", labels=["model"]
        )
        budgets = GaugeMetricFamily(
            "llm_stream_retries_left", "Retries a model has left.", labels=["model"]
        )
        calls = GaugeMetricFamily(
            "llm_stream_calls", "Calls of models now.", labels=["model", "state"]
        )
        for upstream in self._upstreams:
            calls.add_metric([upstream.model_id, "active"], upstream.places.busy)
            calls.add_metric([upstream.model_id, "waiting"], upstream.places.waiting)
            breakers.add_metric([upstream.model_id], STATES[upstream.breaker.state])
            budgets.add_metric([upstream.model_id], upstream.budget.left)
        yield calls
        yield breakers
        yield budgets
