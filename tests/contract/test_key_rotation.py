"""Several keys of one provider: a call goes on with the next one."""

from typing import Any

import pytest

from llm_stream.config import LimitsSection, LocalSection, ModelsSection, ProviderSection, Settings
from llm_stream.config.providers import Kind
from llm_stream.config.resilience import BreakerSection, RetriesSection
from llm_stream.testing.mockproviders import MockProviders, mock_providers
from llm_stream.testing.service import running_service

KEYS = ("FIRST_KEY", "SECOND_KEY")

KINDS: tuple[Kind, ...] = ("openai", "openai_responses", "anthropic", "gemini", "palm")


def settings(kind: Kind, mocks: MockProviders) -> Settings:
    """One provider with two keys, asked again without a pause, left alone after one failure."""
    urls = {"anthropic": mocks.anthropic_url, "gemini": mocks.gemini_url, "palm": mocks.palm_url}
    section = ProviderSection(
        kind=kind, base_url=urls.get(kind, mocks.openai_url), api_key_env=KEYS
    )
    models = ModelsSection(
        default="p/mock",
        plugins=(),
        retries=RetriesSection(initial_seconds=0),
        breaker=BreakerSection(failures=1),
    )
    return Settings(
        limits=LimitsSection(late_seconds=0),
        providers={"p": section},
        models=models,
        local=LocalSection(enabled=False),
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("first", "model"),
    [("sk-invalid-0123456789", "mock-words-3"), ("sk-limited-0123456789", "mock-429-1-after-20")],
)
async def test_a_call_goes_on_with_the_next_key(
    first: str, model: str, kind: Kind, http: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bad or limited key costs one request and no pause, and says nothing of the model."""
    monkeypatch.setenv("FIRST_KEY", first)
    monkeypatch.setenv("SECOND_KEY", "sk-second-0123456789")
    async with mock_providers() as mocks, running_service(settings(kind, mocks)) as service:
        answers = []
        for prompt in ("One?", "Two?"):
            asked = {"prompt": prompt, "model": f"p/{model}"}
            async with http.post(f"{service.url}/v1/generate", json=asked) as response:
                answers.append(await response.json())

    assert [answer.get("code") for answer in answers] == [None, None]
    assert [answer["attempts"] for answer in answers] == [2, 1]
    assert len(mocks.requests) == 3


async def test_without_another_key_the_refusal_is_the_answer(
    http: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the last key is refused as well, it is over; nobody is asked a third time."""
    for number, name in enumerate(KEYS):
        monkeypatch.setenv(name, f"sk-invalid-{number}-0123456789")
    async with mock_providers() as mocks, running_service(settings("openai", mocks)) as service:
        asked = {"prompt": "One?", "model": "p/mock"}
        async with http.post(f"{service.url}/v1/generate", json=asked) as response:
            problem = await response.json()

    assert (problem["code"], problem["upstream_status"]) == ("upstream_rejected", 401)
    assert len(mocks.requests) == 2
