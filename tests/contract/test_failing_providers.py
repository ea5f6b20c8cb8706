"""Each wire against each fault: what the caller is told, and how often the provider was asked."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from llm_stream.config import (
    LimitsSection,
    LocalSection,
    ModelsSection,
    ProviderSection,
    ServerSection,
    Settings,
)
from llm_stream.config.resilience import RetriesSection
from llm_stream.testing.mockproviders import MockProviders
from llm_stream.testing.service import RunningService, running_service

from ..wire import SSE, sse_events, start_async

WIRES = ("chat", "responses", "anthropic", "gemini", "palm")
STREAMS = WIRES[:-1]
"""PaLM answers in one piece: nothing of it can be seen before it is whole."""

AGAIN = ("429", "500", "503", "529", "408", "409", "drop", "cuthead-20")
"""Faults before the first output that may pass."""

FINAL = {"400": "upstream_rejected", "401": "upstream_rejected", "404": "upstream_rejected"}
"""Refusals: the same model would say it again."""

FAULTS: dict[str, tuple[str | None, int]] = {
    "400": ("upstream_rejected", 1),
    "401": ("upstream_rejected", 1),
    "403": ("upstream_rejected", 1),
    "404": ("upstream_rejected", 1),
    "408": ("upstream_failed", 3),
    "409": ("upstream_failed", 3),
    "422": ("upstream_rejected", 1),
    "429": ("rate_limited", 3),
    "429-html": ("rate_limited", 3),
    "429-after-0": ("rate_limited", 3),
    "429-afterms-5": ("rate_limited", 3),
    "429-afterdate-0": ("rate_limited", 3),
    "429-after-31": ("rate_limited", 1),
    "429-afterinfo-31": ("rate_limited", 3),
    "429-left-0-reset-31000": ("rate_limited", 1),
    "429-afterdate-60": ("rate_limited", 1),
    "429-after-99999999999999": ("rate_limited", 1),
    "429-after-99999999999999999": ("rate_limited", 3),
    "500": ("upstream_failed", 3),
    "502-html": ("upstream_failed", 3),
    "503": ("upstream_failed", 3),
    "503-after-31": ("upstream_failed", 1),
    "504": ("upstream_failed", 3),
    "529": ("upstream_failed", 3),
    "html": ("upstream_failed", 3),
    "plain": ("upstream_failed", 3),
    "empty": ("upstream_failed", 3),
    "malformed-0": ("upstream_failed", 3),
    "error-0": ("upstream_failed", 3),
    "drop": ("upstream_failed", 3),
    "drop-rst": ("upstream_failed", 3),
    "cuthead-20": ("upstream_failed", 3),
    "cut-0": ("upstream_failed", 3),
    "cut-60": ("upstream_failed", 3),
    "cut-60-rst": ("upstream_failed", 3),
    "cut-60-end": ("upstream_failed", 3),
    "cut-60-unframed": ("upstream_failed", 3),
    "long-10000000": ("upstream_failed", 3),
    "split-1": (None, 1),
    "crlf-comments-split-7": (None, 1),
    "nousage": (None, 1),
    "unframed": (None, 1),
}
"""What goes wrong -> the code that the caller is told, None for an answer; and requests made."""

OTHERWISE: dict[tuple[str, str], tuple[str | None, int]] = {
    ("responses", "long-10000000"): ("upstream_failed", 1),
    ("palm", "long-10000000"): ("output_too_large", 1),
    ("gemini", "429-afterinfo-31"): ("rate_limited", 1),
    ("palm", "429-afterinfo-31"): ("rate_limited", 1),
    ("gemini", "429-left-0-reset-31000"): ("rate_limited", 3),
    ("palm", "429-left-0-reset-31000"): ("rate_limited", 3),
}
"""Responses had its thoughts to show before the endless line; PaLM's answer is all one line; only
Google says in the body how long to wait, and it does not tell limits in headers."""

AFTER_OUTPUT = ("cut-2500", "cut-2500-rst", "cut-2500-unframed", "malformed-9", "error-9")
"""What breaks off when readers have something."""


@pytest.fixture
def asking(mocks: MockProviders, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A configuration that asks them, again without a pause."""
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
        "palm": ProviderSection(kind="palm", base_url=mocks.palm_url, api_key_env=key),
    }
    return Settings(
        providers=sections,
        server=ServerSection(heartbeat_seconds=0.02),
        models=ModelsSection(
            default="chat/mock", plugins=(), retries=RetriesSection(initial_seconds=0)
        ),
        limits=LimitsSection(late_seconds=0),
        local=LocalSection(enabled=False),
    )


@pytest.fixture
async def service(asking: Settings) -> AsyncIterator[RunningService]:
    """A service with that configuration."""
    async with running_service(asking) as running:
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


@pytest.mark.parametrize(("fault", "expected"), FAULTS.items())
async def test_each_fault_has_its_code_and_its_number_of_requests(
    fault: str, expected: tuple[str | None, int], mocks: MockProviders, service: RunningService,
    http: Any,
) -> None:  # fmt: skip
    """The same on every wire: asked again only where that may help, then failed with its code."""
    found = {}
    for wire in WIRES:
        answer = await ask(http, service, f"{wire}/mock-{fault}")
        found[wire] = (answer.get("code"), len(mocks.requests))
        mocks.requests.clear()

    assert found == {wire: OTHERWISE.get((wire, fault), expected) for wire in WIRES}


@pytest.mark.parametrize("fault", AFTER_OUTPUT)
async def test_after_the_first_output_nobody_is_asked_again(
    fault: str, mocks: MockProviders, service: RunningService, http: Any
) -> None:
    """The run fails with one request; PaLM, of which nothing was seen, is asked again."""
    found = {}
    for wire in WIRES:
        answer = await ask(http, service, f"{wire}/mock-words-400-{fault}")
        found[wire] = (answer.get("code"), len(mocks.requests))
        mocks.requests.clear()

    failed = "upstream_failed"
    assert found == {wire: (failed, 3 if wire == "palm" else 1) for wire in WIRES}


@pytest.mark.parametrize("wire", STREAMS)
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
    timeouts = {"first_token_seconds": 1}
    answer = await ask(
        http, service, f"{wire}/mock-silent", timeouts=timeouts,
        fallback_models=[f"{wire}/mock-words-3"],
    )  # fmt: skip

    assert answer["attempts"] == 2
    assert len(mocks.requests) == 2


async def events_of(
    http: aiohttp.ClientSession, service: RunningService, model: str
) -> list[dict[str, Any]]:
    """All logged events of a run that is not cached, in order."""
    asked = {"prompt": "Say something long.", "model": model, "cache": {"mode": "bypass"}}
    async with http.post(f"{service.url}/v1/generate", json=asked, headers=SSE) as stream:
        return [event.payload async for event in sse_events(stream) if event.id is not None]


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
            if event.id is not None and event.payload["type"] == "run.queued":
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


STALLS = {
    "silent": "first_token_seconds",
    "words-40-stall-0": "first_token_seconds",
    "words-40-stall-30": "idle_seconds",
}
"""Where an answer stops -> the timer that has to run out. PaLM's stops before its only piece."""


@pytest.mark.slow
@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize(("fault", "timer"), STALLS.items())
async def test_a_stall_ends_when_its_timer_runs_out(
    wire: str, fault: str, timer: str, mocks: MockProviders, service: RunningService, http: Any
) -> None:
    """The provider sees the connection close half a second after the limit at the latest."""
    timer = "first_token_seconds" if (wire, timer) == ("palm", "idle_seconds") else timer
    fault = fault.replace("stall-30", "stall-0") if wire == "palm" else fault
    timeouts = {"first_token_seconds": 30, "idle_seconds": 30, timer: 0.5}
    asked = asyncio.get_running_loop().time()
    problem = await ask(http, service, f"{wire}/mock-{fault}", timeouts=timeouts)
    (request,) = mocks.requests
    await request.ended()

    assert (problem["code"], problem["field"]) == ("upstream_timed_out", f"timeouts.{timer}")
    assert request.closed_at is not None
    # Not since the provider has read it, which may be any time after the call began.
    assert request.closed_at - asked >= 0.5
    assert request.closed_at - request.received_at <= 1


@pytest.mark.slow
@pytest.mark.parametrize("wire", STREAMS)
async def test_a_stall_after_the_last_word_is_none(
    wire: str, mocks: MockProviders, service: RunningService, http: Any
) -> None:
    """An answer is whole with its end mark, though its body never ends."""
    # Anthropic's last mark is its end mark, the others' is `[DONE]`, which is none.
    unsaid = "" if wire == "anthropic" else "nodone-"
    answer = await ask(http, service, f"{wire}/mock-words-3-{unsaid}stall-99")

    assert answer.get("code") is None
    assert answer["attempts"] == 1


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("fault", ["silent", "stall-0", "headers-60000"])
async def test_a_cancelled_run_closes_the_connection_within_a_second(
    wire: str, fault: str, mocks: MockProviders, service: RunningService, http: Any
) -> None:
    """Before the answer's head, in it and after it, streamed or not."""
    run, _ = await start_async(http, service.url, prompt="Hi", model=f"{wire}/mock-{fault}")
    await mocks.until(lambda mocks: len(mocks.requests) == 1)
    asked = asyncio.get_running_loop().time()
    await http.post(f"{service.url}/v1/runs/{run}/cancel")
    await mocks.requests[0].ended()

    assert mocks.requests[0].closed_at is not None
    assert mocks.requests[0].closed_at - asked < 1


@pytest.mark.parametrize("wire", WIRES)
async def test_heartbeats_go_on_while_a_provider_stalls(
    wire: str, mocks: MockProviders, service: RunningService, http: Any
) -> None:
    """A silent provider is not a silent service."""
    asked = {"prompt": "Hi", "model": f"{wire}/mock-silent"}
    beats = 0
    async with http.post(f"{service.url}/v1/generate", json=asked, headers=SSE) as stream:
        async for event in sse_events(stream):
            beats += event.event == "heartbeat"
            if beats == 3:
                break
        # On a busy machine three beats are sooner than the provider has read the request.
        await mocks.until(lambda mocks: len(mocks.requests) == 1)
        assert mocks.requests[0].ended_at is None
