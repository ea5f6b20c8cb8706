"""Spans given to OpenTelemetry's SDK, which sends them on; the one module that imports it.

Spans are made when their run has ended, with numbers that follow from the run's id: so inner
runs, which end first, can name their parent.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from opentelemetry import trace as api
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator

from llm_stream import __version__
from llm_stream.tracing.context import Place, number_of
from llm_stream.tracing.spans import Span

EXPORT_SECONDS: Final = 3.0
"""How long one batch may take to be sent; at the end of the process the last one, too."""

NANOSECONDS: Final = 1_000_000_000


class RunNumbers(IdGenerator):
    """Numbers as they are told, else random ones. For one thread."""

    def __init__(self) -> None:
        self._random = RandomIdGenerator()
        self.trace: int | None = None
        self.span: int | None = None

    def generate_trace_id(self) -> int:
        """The number of the next trace."""
        told, self.trace = self.trace, None
        return told or self._random.generate_trace_id()

    def generate_span_id(self) -> int:
        """The number of the next span."""
        told, self.span = self.span, None
        return told or self._random.generate_span_id()


class Sender:
    """Hands spans to the SDK. All methods block; for one thread.

    Args:
        exporter: where they go; closed with this.
        service: what the service is called.
    """

    def __init__(self, exporter: SpanExporter, service: str) -> None:
        self._numbers = RunNumbers()
        about: Mapping[str, str] = {"service.name": service, "service.version": __version__}
        self._provider = TracerProvider(
            resource=Resource.create(about),
            id_generator=self._numbers,
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("llm_stream", __version__)

    def send(
        self, run: str, above: Place | None, began_at: float, root: Span, below: Sequence[Span]
    ) -> None:
        """One run, with what is below it.

        Args:
            run: its id.
            above: the span it belongs to; None: a trace begins with it.
            began_at: seconds since 1970.
            root: its own span.
            below: the others.
        """
        begin = int(began_at * NANOSECONDS)
        self._numbers.trace = number_of(run, 128)
        self._numbers.span = number_of(run, 64)
        within = Context() if above is None else api.set_span_in_context(_remote(above), Context())
        whole = self._start(root, begin, within)
        self._numbers.trace = self._numbers.span = None
        for span in below:
            part = self._start(span, begin, api.set_span_in_context(whole, Context()))
            part.end(begin + int(span.end_ms * 1_000_000))
        whole.end(begin + int(root.end_ms * 1_000_000))

    def _start(self, span: Span, begin: int, within: Context) -> api.Span:
        started = self._tracer.start_span(
            span.name,
            within,
            kind=api.SpanKind.CLIENT if span.client else api.SpanKind.INTERNAL,
            attributes=span.attributes | ({"error.type": span.error} if span.error else {}),
            start_time=begin + int(span.begin_ms * 1_000_000),
        )
        if span.error:
            started.set_status(api.Status(api.StatusCode.ERROR, span.error))
        return started

    def close(self) -> None:
        """Send what is left, within seconds."""
        self._provider.shutdown()


def sender_to(url: str, service: str) -> Sender:
    """A sender over OTLP; headers and certificates as the SDK's variables say."""
    return Sender(OTLPSpanExporter(endpoint=url, timeout=EXPORT_SECONDS), service)


def _remote(place: Place) -> api.Span:
    flags = api.TraceFlags(api.TraceFlags.SAMPLED if place.sampled else api.TraceFlags.DEFAULT)
    return api.NonRecordingSpan(
        api.SpanContext(place.trace, place.span, is_remote=True, trace_flags=flags)
    )
