"""Spans as a collector gets them, and what is paid without one."""

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from structlog.testing import capture_logs

from llm_stream.testing import Fault, Script, ScriptedModel
from llm_stream.testing.service import RunningService, running_service
from llm_stream.tracing import otel
from llm_stream.tracing.context import Place, number_of
from llm_stream.tracing.otel import Sender
from llm_stream.tracing.spans import Span

from ..conftest import settings

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE, SPAN = (bytes.fromhex(part) for part in CALLER.split("-")[1:3])


class Collector:
    """What a collector has received."""

    def __init__(self) -> None:
        self.url = ""
        self.resource: dict[str, str] = {}
        self.spans: list[Any] = []
        self.bytes = b""

    async def receive(self, request: web.Request) -> web.Response:
        """Take one batch."""
        body = await request.read()
        self.bytes += body
        message = ExportTraceServiceRequest.FromString(body)
        for resource in message.resource_spans:
            self.resource = {a.key: a.value.string_value for a in resource.resource.attributes}
            for scope in resource.scope_spans:
                self.spans += scope.spans
        return web.Response(body=b"", content_type="application/x-protobuf")

    def named(self, name: str) -> list[Any]:
        """The spans of this name."""
        return [span for span in self.spans if span.name == name]


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    """A collector on a port of this machine."""
    collector = Collector()
    app = web.Application()
    app.router.add_post("/v1/traces", collector.receive)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    collector.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1/traces"
    yield collector
    await runner.cleanup()


def attributes(span: Any) -> dict[str, Any]:
    """The attributes of a span, whatever their type."""
    return {
        each.key: getattr(each.value, str(each.value.WhichOneof("value")))
        for each in span.attributes
    }


async def ask(
    http: aiohttp.ClientSession,
    service: RunningService,
    path: str,
    headers: Any = None,
    **body: Any,
) -> str:
    """Call the service; the run's id."""
    async with http.post(service.url + path, json=body, headers=headers) as response:
        await response.read()
        return response.headers["X-Run-Id"]


async def test_a_run_is_a_trace_in_its_callers(
    collector: Collector, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """Run, failed call and answer reach the collector before the service has ended."""
    model.scripts = [Script(fault=Fault(error=ConnectionError("canary"))), Script()]
    telemetry = {"traces_url": collector.url, "service_name": "ours"}
    retries = {"retries": {"initial_seconds": 0}}
    async with running_service(settings(telemetry=telemetry, models=retries), [model]) as service:
        headers = {"traceparent": CALLER}
        run = await ask(http, service, "/v1/generate", headers, prompt="canary")

    (root,) = collector.named("generate")
    failed, answered = collector.named("chat scripted")
    assert collector.resource["service.name"] == "ours"
    assert (root.trace_id, root.parent_span_id) == (TRACE, SPAN)
    assert attributes(root)["llm_stream.run"] == run
    for call in (failed, answered):
        assert (call.trace_id, call.parent_span_id) == (TRACE, root.span_id)
        assert root.start_time_unix_nano <= call.start_time_unix_nano
        assert call.end_time_unix_nano <= root.end_time_unix_nano
    assert attributes(failed)["error.type"] == failed.status.message == "upstream_failed"
    assert attributes(answered)["gen_ai.usage.output_tokens"] == 4
    assert b"canary" not in collector.bytes
    assert b"Hello" not in collector.bytes


async def test_a_recipe_and_its_calls_are_one_trace(
    collector: Collector, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """Inner runs stand below the run that asked for them; without a caller it begins the trace."""
    telemetry = {"traces_url": collector.url}
    async with running_service(settings(telemetry=telemetry), [model]) as service:
        run = await ask(
            http, service, "/v1/reason", question="canary", strategy="critique", samples=1
        )
        await ask(http, service, "/v1/generate", prompt="canary")

    (root,) = collector.named("reason")
    inner = [span for span in collector.named("generate") if span.trace_id == root.trace_id]
    assert root.trace_id == number_of(run, 128).to_bytes(16)
    assert (root.span_id, root.parent_span_id) == (number_of(run, 64).to_bytes(8), b"")
    assert len(inner) == len(model.calls) - 1 > 1
    assert {span.parent_span_id for span in inner} == {root.span_id}
    assert len(collector.named("generate")) == len(inner) + 1
    assert {span.parent_span_id for span in collector.named("step")} == {root.span_id}
    assert b"canary" not in collector.bytes


async def test_a_trace_that_its_caller_does_not_keep_is_not_sent(
    collector: Collector, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """The caller's choice holds below it."""
    telemetry = {"traces_url": collector.url}
    async with running_service(settings(telemetry=telemetry), [model]) as service:
        headers = {"traceparent": CALLER[:-1] + "0"}
        await ask(http, service, "/v1/generate", headers, prompt="x")

    assert collector.spans == []


async def test_a_collector_that_is_gone_harms_nobody(
    http: aiohttp.ClientSession, model: ScriptedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs are answered, and the service ends in time."""
    monkeypatch.setattr(otel, "EXPORT_SECONDS", 0.2)
    chosen = settings(telemetry={"traces_url": "http://127.0.0.1:1/v1/traces"})
    # Less than the half minute that the SDK waits by itself.
    async with asyncio.timeout(20), running_service(chosen, [model]) as service:
        await ask(http, service, "/v1/generate", prompt="x")


def test_spans_have_the_times_and_numbers_they_were_given() -> None:
    """In nanoseconds since 1970; a child's number is its own."""
    exporter = InMemorySpanExporter()
    sender = Sender(exporter, "ours")
    below = [Span("queue", 0, 1.5), Span("chat m", 1.5, 9, {"a": 1}, client=True)]
    sender.send("run_1", Place(7, 8), 100.0, Span("generate", 0, 10), below)
    sender.send("run_2", None, 100.0, Span("generate", 0, 10), [])
    sender.close()
    queue, call, root, other = exporter.get_finished_spans()

    assert [(s.start_time, s.end_time) for s in (queue, call, root)] == [
        (100_000_000_000, 100_001_500_000),
        (100_001_500_000, 100_009_000_000),
        (100_000_000_000, 100_010_000_000),
    ]
    assert (root.context.trace_id, root.context.span_id) == (7, number_of("run_1", 64))
    assert root.parent is not None
    assert root.parent.span_id == 8
    assert {s.parent.span_id for s in (queue, call) if s.parent} == {root.context.span_id}
    assert len({s.context.span_id for s in (queue, call, root)}) == 3
    assert other.context.trace_id == number_of("run_2", 128)
    assert other.parent is None


async def test_without_the_extra_there_is_a_warning(
    http: aiohttp.ClientSession, model: ScriptedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service starts, answers, and says what to install."""
    monkeypatch.setitem(sys.modules, "llm_stream.tracing.otel", None)
    telemetry = {"traces_url": "http://127.0.0.1:1/v1/traces"}
    with capture_logs() as lines:
        async with running_service(settings(telemetry=telemetry), [model]) as service:
            await ask(http, service, "/v1/generate", prompt="x")

    (warning,) = (line for line in lines if line["event"] == "traces.unavailable")
    assert "llm-stream[otel]" in warning["detail"]
