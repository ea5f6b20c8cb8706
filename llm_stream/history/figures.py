"""The history's figures for Prometheus."""

from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from llm_stream.history.facts import Facts


class HistoryFigures(Collector):
    """Reads the figures when somebody asks.

    Args:
        facts: the figures now.
    """

    def __init__(self, facts: Callable[[], Facts]) -> None:
        self._facts = facts

    def collect(self) -> Iterator[Metric]:
        """The figures now."""
        facts, name = self._facts(), "llm_stream_history"
        yield GaugeMetricFamily(
            f"{name}_up", "Whether runs are recorded at once.", int(facts.state == "open")
        )
        yield GaugeMetricFamily(f"{name}_queued", "Runs waiting to be recorded.", facts.queued)
        yield GaugeMetricFamily(f"{name}_bytes", "The log database on the disk.", facts.bytes)
        yield CounterMetricFamily(f"{name}_written", "Runs recorded.", facts.written)
        yield CounterMetricFamily(f"{name}_dropped", "Runs not recorded.", facts.dropped)
        yield CounterMetricFamily(f"{name}_failures", "Faults of the database.", facts.failures)
