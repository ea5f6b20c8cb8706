"""Prometheus metrics of the service; labels are bounded, and nothing runs once per token."""

from llm_stream.metrics.buckets import LATENCY_BUCKETS
from llm_stream.metrics.service import Metrics

__all__ = ["LATENCY_BUCKETS", "Metrics"]
