"""Each wire against each fault: what the caller is told, and how often the provider was asked."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from llm_stream.config import LocalSection, ModelsSection, ProviderSection, Settings
from llm_stream.config.resilience import RetriesSection
from llm_stream.testing.mockproviders import MockProviders, mock_providers
from llm_stream.testing.service import RunningService, running_service

from ..wire import SSE, sse_events

WIRES = ("chat", "responses", "anthropic", "gemini")

AGAIN = ("429", "500", "503", "529", "408", "409", "drop", "cuthead-20")
"""Faults before the first output that may pass."""

FINAL = {"400": "upstream_rejected", "401": "upstream_rejected", "404": "upstream_rejected"}
"""Refusals: the same model would say it again."""


@pytest.fixture
async def mocks() -> AsyncIterator[MockProviders]:
    """All providers, on this machine."""
    async with mock_providers() as mocks:
        yield mocks


@pytest.fixture
async def service(
    mocks: MockProviders, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[RunningService]:
    """A service that asks them, again without a pause."""
    monkeypatch.setenv("MOCK_KEY", "sk-mock-key-1234567890")
    key = ("MOCK_KEY",)
    sections = {
        "chat": ProviderSection(kind="openai", base_url=mocks.openai_url, api_key_env=key),
        "responses": ProviderSection(
            kind="openai_responses", base_url=mocks.openai_url, api_key_env=key
        ),
        "anthropic": ProviderSection(
            kind="anthropic", base_url=mocks.anthropic_url, api_key_env=key
        ),
        "twokeys": ProviderSection(
            kind="openai", base_url=mocks.openai_url, api_key_env=("MOCK_KEY", "OTHER_KEY")
        ),
        "gemini": ProviderSection(kind="gemini", base_url=mocks.gemini_url, api_key_env=key),
    }
    settings = Settings(
        providers=sections,
        models=ModelsSection(
            default="chat/mock", plugins=(), retries=RetriesSection(initial_seconds=0)
        ),
        local=LocalSection(enabled=False),
    )
    async with running_service(settings) as running:
        yield running


async def ask(
    http: aiohttp.ClientSession, service: RunningService, model: str, **body: Any
) -> dict[str, Any]:
    """The answer, or the problem."""
    asked = {"prompt": "Say something long.", "model": model, **body}
    async with http.post(f"{service.url}/v1/generate", json=asked) as response:
        value: dict[str, Any] = await response.json()
        return value


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("fault", AGAIN)
async def test_what_may_pass_is_asked_again(
    wire: str, fault: str, mocks: MockProviders, service: RunningService, http: Any
) -> None:
    """Two failures, then the answer: three requests, one answer, the model's own."""
    name = f"mock-{fault}-2" if fault.isdigit() else f"mock-{fault}-times-2"
    answer = await ask(http, service, f"{wire}/{name}")

    assert (answer.get("attempts"), answer.get("code")) == (3, None)
    assert len(mocks.requests) == 3


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize(("fault", "code"), FINAL.items())
async def test_what_is_refused_goes_to_the_next_model(
    wire: str, fault: str, code: str, mocks: MockProviders, service: RunningService, http: Any
) -> None:
    """One request to the model that refuses; without another model the refusal is the answer."""
    refused = f"{wire}/mock-{fault}"
    problem = await ask(http, service, refused)
    answer = await ask(http, service, refused, fallback_models=[f"{wire}/mock-words-3"])

    assert problem["code"] == code
    assert (answer["attempts"], answer["model"]) == (2, f"{wire}/mock-words-3")
    assert len(mocks.requests) == 3


@pytest.mark.parametrize("wire", WIRES)
async def test_a_cut_answer_is_spliced(
    wire: str, mocks: MockProviders, service: RunningService, http: Any
) -> None:
    """A second call repeats what readers have, and goes on from there to the same text."""
    cut = f"{wire}/mock-words-40-cut-2500-times-1"
    mended = await ask(http, service, cut, on_midstream_failure="splice")
    again = await ask(http, service, cut, cache={"mode": "bypass"})

    assert (mended.get("attempts"), mended.get("code")) == (2, None)
    assert mended["text"] == again["text"]


@pytest.mark.parametrize("wire", WIRES)
async def test_nobody_is_asked_twice_for_a_silence(
    wire: str, mocks: MockProviders, service: RunningService, http: Any
) -> None:
    """The next model is, once the timer has run out."""
    timeouts = {"first_token_seconds": 0.1}
    answer = await ask(
        http, service, f"{wire}/mock-silent", timeouts=timeouts,
        fallback_models=[f"{wire}/mock-words-3"],
    )  # fmt: skip

    assert answer["attempts"] == 2
    assert len(mocks.requests) == 2


async def events_of(
    http: aiohttp.ClientSession, service: RunningService, model: str
) -> list[dict[str, Any]]:
    """All events of a run that is not cached, in order."""
    asked = {"prompt": "Say something long.", "model": model, "cache": {"mode": "bypass"}}
    async with http.post(f"{service.url}/v1/generate", json=asked, headers=SSE) as stream:
        return [event.payload async for event in sse_events(stream)]


@pytest.mark.parametrize("wire", ["chat", "responses", "anthropic"])
async def test_a_limit_in_headers_holds_calls_back(
    wire: str, mocks: MockProviders, service: RunningService, http: Any
) -> None:
    """A provider that takes no further call gets none, and the run says that it waits."""
    model = f"{wire}/mock-words-3-left-0-reset-60000"
    first = await events_of(http, service, model)
    asked = {"prompt": "Hi", "model": model}
    async with http.post(f"{service.url}/v1/generate", json=asked, headers=SSE) as stream:
        async for event in sse_events(stream):
            if event.payload["type"] == "run.queued":
                break

    assert "run.queued" not in {event["type"] for event in first}
    assert event.payload["position"] == 1
    assert len(mocks.requests) == 1


@pytest.mark.slow
async def test_a_limit_in_headers_is_waited_for(
    mocks: MockProviders, service: RunningService, http: Any
) -> None:
    """After its reset the call is made."""
    model = "chat/mock-words-3-left-0-reset-1000"
    await events_of(http, service, model)
    second = await events_of(http, service, model)

    assert [event["type"] for event in second[:2]] == ["run.started", "run.queued"]
    assert second[-1]["type"] == "run.completed"
    before, after = mocks.requests
    assert after.received_at - before.received_at >= 1


async def test_a_limit_of_one_key_does_not_hold_another_back(
    mocks: MockProviders, service: RunningService, http: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With several keys nobody waits for the reset of one of them."""
    monkeypatch.setenv("OTHER_KEY", "sk-mock-other-1234567890")
    model = "twokeys/mock-words-3-left-0-reset-20000"
    await events_of(http, service, model)
    second = await events_of(http, service, model)

    assert "run.queued" not in {event["type"] for event in second}
    assert second[-1]["type"] == "run.completed"


async def test_an_outage_of_a_provider_is_noticed_across_its_models(
    mocks: MockProviders, service: RunningService, http: Any
) -> None:
    """After ten failures of several models the next one is not even asked; other providers are."""
    for number in range(4):
        await ask(http, service, f"chat/mock-503-words-{number}")
    asked = len(mocks.requests)
    problem = await ask(http, service, "chat/mock-words-3")
    answer = await ask(http, service, "anthropic/mock-words-3")

    assert problem["code"] == "model_resting"
    assert answer["attempts"] == 1
    assert (asked, len(mocks.requests)) == (10, 11)
