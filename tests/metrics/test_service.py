"""Metrics: what runs and requests leave behind, with bounded labels."""

import asyncio
from typing import Any

import aiohttp
import prometheus_client
import pytest
from prometheus_client.parser import text_string_to_metric_families

from llm_stream import __version__
from llm_stream.config import ProviderSection
from llm_stream.testing import Fault, Script, ScriptedModel
from llm_stream.testing.mockproviders import mock_providers
from llm_stream.testing.service import RunningService

from ..conftest import StartService
from ..wire import WsClient, start_async, until


async def scrape(http: aiohttp.ClientSession, service: RunningService) -> Any:
    """All samples of /metrics: {(name, labels...): value}."""
    async with http.get(f"{service.url}/metrics") as response:
        assert response.headers["Content-Type"] == prometheus_client.CONTENT_TYPE_LATEST
        text = await response.text()
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_runs_tokens_and_latencies_are_counted(
    service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """After a success and a failure every figure says so."""
    model.scripts = [Script(), Script(fault=Fault(at=1, error=ConnectionError("x")))]
    for prompt in ("a", "b"):
        async with http.post(f"{service.url}/v1/generate", json={"prompt": prompt}):
            pass
    found = await scrape(http, service)
    recipe = ("recipe", "generate")

    assert found["llm_stream_runs_total", ("outcome", "completed"), recipe] == 1
    assert found["llm_stream_runs_total", ("outcome", "failed"), recipe] == 1
    assert found["llm_stream_errors_total", ("code", "upstream_failed")] == 1
    assert found["llm_stream_first_token_seconds_count", recipe] == 2
    assert found["llm_stream_run_seconds_count", recipe] == 2
    assert found["llm_stream_chunks_total",] == 5
    assert found["llm_stream_tokens_total", ("direction", "output"), ("model", "scripted")] == 4
    path = ("path", "/v1/generate")
    assert (
        found["llm_stream_http_responses_total", ("method", "POST"), path, ("status", "502")] == 1
    )
    assert found["llm_stream_http_request_seconds_count", ("method", "POST"), path] == 2


async def test_attempts_and_breakers_are_shown_by_model(
    start_service: StartService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """Every call by its code, and whether a model is being left alone."""
    service = await start_service(
        models={"retries": {"initial_seconds": 0}, "breaker": {"failures": 3}}
    )
    model.scripts = [Script(fault=Fault(error=ConnectionError("x")))]
    async with http.post(f"{service.url}/v1/generate", json={"prompt": "x"}):
        pass
    found = await scrape(http, service)
    label = ("model", "scripted")

    assert found["llm_stream_attempts_total", ("code", "upstream_failed"), label] == 3
    assert found["llm_stream_breaker", label] == 2
    assert found["llm_stream_retries_total", label] == 2
    assert found["llm_stream_retries_left", label] == 18


async def test_made_up_models_share_one_label(
    start_service: StartService, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a stranger names as a model becomes no label; a model that is configured does."""
    monkeypatch.setenv("MOCK_KEY", "sk-mock-key-1234567890")
    async with mock_providers() as mocks:
        section = ProviderSection(
            base_url=mocks.openai_url, api_key_env=("MOCK_KEY",), models=("mock",)
        )
        service = await start_service(providers={"p": section})
        for model in ("p/mock", "p/mock-words-3", "p/mock-words-5", "p/mock-404", "p/mock-words-3"):
            async with http.post(
                f"{service.url}/v1/generate", json={"prompt": "x", "model": model}
            ):
                pass
        await service.parts.cache.settled()
        found = await scrape(http, service)
    models = {labels["model"] for key in found if "model" in (labels := dict(key[1:]))}
    other, ok = ("model", "p/other"), ("code", "ok")

    assert models == {"p/mock", "p/other"}
    assert found["llm_stream_attempts_total", ok, other] == 2
    assert found["llm_stream_attempts_total", ("code", "upstream_rejected"), other] == 1
    assert found["llm_stream_tokens_total", ("direction", "output"), other] == 8
    assert found["llm_stream_calls", other, ("state", "active")] == 0
    assert found["llm_stream_cache_saved_tokens_total", ("direction", "output"), other] == 3


async def test_gauges_show_what_is_now(
    start_service: StartService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """Active runs, queue, readers, sockets and log bytes are read at the scrape."""
    service = await start_service(limits={"concurrent_runs": 1})
    model.scripts = [Script(fault=Fault(at=1, stall=True))]
    first, _ = await start_async(http, service.url, prompt="1")
    await start_async(http, service.url, prompt="2")
    ws = await WsClient.connect(http, service.url)
    await ws.ask(type="subscribe", id="1", streams=[{"stream": "a", "run": first, "after": "now"}])
    while not model.calls:
        await asyncio.sleep(0)
    found = await scrape(http, service)
    await ws.ws.close()

    assert found["llm_stream_runs_active",] == 2
    assert found["llm_stream_runs_queued",] == 1
    assert found["llm_stream_readers",] == 1
    assert found["llm_stream_sockets",] == 1
    assert found["llm_stream_log_bytes",] > 0


async def test_chunks_of_answers_under_way_are_seen(
    start_service: StartService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """What an unfinished answer has said is a gauge; its end moves it into the counter."""
    service = await start_service()
    model.scripts = [Script(chunks=("a", "b", "c"), fault=Fault(at=2, stall=True))]
    run, _ = await start_async(http, service.url, prompt="1")
    while service.parts.registry.find(run).tally.chunks < 2:
        await asyncio.sleep(0)
    before = await scrape(http, service)
    async with http.post(f"{service.url}/v1/runs/{run}/cancel"):
        pass
    while service.parts.registry.live:
        await asyncio.sleep(0)
    after = await scrape(http, service)

    assert (before["llm_stream_chunks_live",], before["llm_stream_chunks_total",]) == (2, 0)
    assert (after["llm_stream_chunks_live",], after["llm_stream_chunks_total",]) == (0, 2)


async def test_what_is_said_again_is_no_models_piece(
    service: RunningService, http: aiohttp.ClientSession
) -> None:
    """A kept answer at a pace is a run under way that streams nothing of a model's."""
    body: dict[str, Any] = {"prompt": "1", "cache": {"pace": 1.0}}
    async with http.post(f"{service.url}/v1/generate", json=body):
        pass
    run, _ = await start_async(http, service.url, **body)
    while service.parts.registry.find(run).tally.chunks < 1:
        await asyncio.sleep(0)
    found = await scrape(http, service)

    assert (found["llm_stream_chunks_live",], found["llm_stream_chunks_total",]) == (0, 4)


async def test_joins_and_resumes_are_counted(
    service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """A joined request and a subscription from behind a cursor leave a count each."""
    model.scripts = [Script(fault=Fault(at=1, stall=True))]
    run, _ = await start_async(http, service.url, prompt="1")
    await start_async(http, service.url, prompt="1")
    ws = await WsClient.connect(http, service.url)
    await ws.ask(type="subscribe", id="1", streams=[{"stream": "a", "run": run, "after": "1-1"}])
    found = await scrape(http, service)
    await ws.ws.close()

    assert found["llm_stream_joins_total",] == 1
    assert found["llm_stream_resumes_total",] == 1


async def test_unknown_paths_share_one_label(
    service: RunningService, http: aiohttp.ClientSession
) -> None:
    """What a stranger types into the URL does not become a label."""
    for path in ("/a", "/b", "/v1/runs/run_x"):
        async with http.get(service.url + path):
            pass
    paths = {dict(key[1:]).get("path") for key in await scrape(http, service)}

    assert "unknown" in paths
    assert "/v1/runs/{run}" in paths
    assert not {"/a", "/b", "/v1/runs/run_x"} & paths


async def test_the_loops_lag_is_measured(
    service: RunningService, http: aiohttp.ClientSession
) -> None:
    """The lag histogram has an observation when its timer has fired."""
    metrics = service.parts.metrics
    count = "llm_stream_loop_lag_seconds_count"
    while not metrics.registry.get_sample_value(count):
        await asyncio.sleep(0)


async def test_the_cache_shows_what_it_did_and_saved(
    start_service: StartService, http: aiohttp.ClientSession
) -> None:
    """Hits, misses, volume, and tokens and money that hits did not cost."""
    price = {"input_per_million": 1_000_000, "output_per_million": 500_000}
    service = await start_service(cache={"prices": {"scripted": price}})
    for _ in range(3):
        async with http.post(f"{service.url}/v1/generate", json={"prompt": "a"}):
            pass
    await service.parts.cache.settled()
    found = await scrape(http, service)
    model = ("model", "scripted")

    assert found["llm_stream_cache_total", ("event", "hits")] == 2
    assert found["llm_stream_cache_total", ("event", "misses")] == 1
    assert found["llm_stream_cache_total", ("event", "stored")] == 1
    assert found["llm_stream_cache_entries",] == 1
    assert found["llm_stream_cache_bytes",] > 0
    assert found["llm_stream_cache_evictions_total",] == 0
    assert found["llm_stream_cache_resting",] == 0
    assert found["llm_stream_cache_saved_tokens_total", ("direction", "input"), model] == 6
    assert found["llm_stream_cache_saved_cost_total", model] == 2 * (3 + 4 / 2)
    assert found["llm_stream_tokens_total", ("direction", "output"), model] == 4


async def test_a_fallback_is_counted_by_the_model_that_gave_way(
    start_service: StartService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """Retries and fallbacks are told apart."""
    service = await start_service(
        ScriptedModel("second"), models={"retries": {"attempts": 2, "initial_seconds": 0}}
    )
    model.scripts = [Script(fault=Fault(error=ConnectionError("x")))]
    asked = {"prompt": "x", "fallback_models": ["second"]}
    async with http.post(f"{service.url}/v1/generate", json=asked) as response:
        assert response.status == 200
    found = await scrape(http, service)

    assert found["llm_stream_retries_total", ("model", "scripted")] == 1
    assert found["llm_stream_fallbacks_total", ("model", "scripted")] == 1
    assert ("llm_stream_fallbacks_total", ("model", "second")) not in found


async def test_what_is_running_says_its_version(
    service: RunningService, http: aiohttp.ClientSession
) -> None:
    """The version is a label, and a service that serves is not draining."""
    found = await scrape(http, service)

    assert found["llm_stream_info", ("version", __version__)] == 1
    assert found["llm_stream_draining",] == 0


async def test_the_history_says_whether_it_records(
    start_service: StartService, http: aiohttp.ClientSession
) -> None:
    """Up from the moment its database is open."""
    service = await start_service(history={"enabled": True})
    history = service.parts.history
    assert history is not None
    await until(lambda: history.facts().state == "open")

    assert (await scrape(http, service))["llm_stream_history_up",] == 1


async def test_no_text_and_no_key_is_in_any_metric(
    start_service: StartService, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither what was asked nor what it was asked with, nor names that only a request made up."""
    monkeypatch.setenv("MOCK_KEY", "sk-canary-0123456789")
    async with mock_providers() as mocks:
        section = ProviderSection(base_url=mocks.openai_url, api_key_env=("MOCK_KEY",))
        service = await start_service(providers={"p": section}, history={"enabled": True})
        for model in ("p/mock-canary", "p/mock-401", "canary"):
            asked = {"prompt": "canary", "model": model, "tags": ["canary"], "system": "canary"}
            headers = {"X-Request-Id": "canary", "Idempotency-Key": f"canary-{model}"}
            async with http.post(
                f"{service.url}/v1/generate?canary=canary", json=asked, headers=headers
            ) as response:
                await response.read()
        async with http.get(f"{service.url}/canary"), http.get(f"{service.url}/metrics") as shown:
            text = await shown.text()

    assert "llm_stream_runs_total" in text
    assert "canary" not in text
