"""How models fare, for Prometheus."""

from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from llm_stream.models.resilience.breaker import State
from llm_stream.models.resilience.upstreams import Upstreams

STATES: Final[dict[State, int]] = {"closed": 0, "half-open": 1, "open": 2}
"""What the gauge of a breaker shows."""


class UpstreamFigures(Collector):
    """Reads the figures when somebody asks. Labels are names of models and error codes.

    Of models that share a name the calls are added up, and the worst breaker and budget shown.

    Args:
        upstreams: whose figures.
        label_of: what a model is called, by its id; of few names (`ModelCatalog.label_of`).
    """

    def __init__(self, upstreams: Upstreams, label_of: Callable[[str], str]) -> None:
        self._upstreams = upstreams
        self._label_of = label_of

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
        for name, counts, what in (
            ("llm_stream_retries", self._upstreams.retries, "Calls that were made again."),
            ("llm_stream_fallbacks", self._upstreams.fallbacks, "Failures that the next took on."),
        ):
            family = CounterMetricFamily(name, what, labels=["model"])
            for model, count in counts.items():
                family.add_metric([model], count)
            yield family
        mended = CounterMetricFamily(
            "llm_stream_mended", "What became of answers that broke off.", labels=["outcome"]
        )
        for outcome, count in self._upstreams.mended.items():
            mended.add_metric([outcome], count)
        yield mended
        probes = CounterMetricFamily(
            "llm_stream_probes",
            'Questions to idle providers by error code; "ok" = answered.',
            labels=["provider", "code"],
        )
        for (provider, code), count in self._upstreams.probes.items():
            probes.add_metric([provider, code], count)
        yield probes
        yield from self._now()

    def _now(self) -> Iterator[Metric]:
        breakers = GaugeMetricFamily(
            "llm_stream_breaker", "0 closed, 1 half-open, 2 open.", labels=["model"]
        )
        budgets = GaugeMetricFamily(
            "llm_stream_retries_left", "Retries a model has left.", labels=["model"]
        )
        calls = GaugeMetricFamily(
            "llm_stream_calls", "Calls of models now.", labels=["model", "state"]
        )
        for label, same in self._upstreams.by_label(self._label_of).items():
            calls.add_metric([label, "active"], sum(each.places.busy for each in same))
            calls.add_metric([label, "waiting"], sum(each.places.waiting for each in same))
            breakers.add_metric([label], max(STATES[each.breaker.state] for each in same))
            budgets.add_metric([label], min(each.budget.left for each in same))
        providers = GaugeMetricFamily(
            "llm_stream_provider_breaker", "As llm_stream_breaker.", labels=["provider"]
        )
        worst: dict[str, int] = {}
        for (provider, _), breaker in self._upstreams.outages.items():
            worst[provider] = max(worst.get(provider, 0), STATES[breaker.state])
        for provider, state in worst.items():
            providers.add_metric([provider], state)
        yield calls
        yield breakers
        yield providers
        yield budgets
