"""Faults on purpose: the page's menu, before a real service and a real mock provider."""

import json
import re
from collections.abc import AsyncIterator
from typing import Any, Final

import aiohttp
import pytest
from playwright.async_api import expect

from llm_stream.config import ProviderSection
from llm_stream.testing.mockproviders import MockProviders, mock_providers
from llm_stream.testing.mockproviders.modelnames import behaviour_of
from llm_stream.testing.service import RunningService
from llm_stream.web.bodies import GenerateBody

from ..conftest import StartService
from .conftest import ARTIFACTS, Card, OpenPage, Shown, in_one_loop
from .test_look import FAINT, STATIC, Scheme, overflow

FAULTS: Final[list[dict[str, Any]]] = json.loads((STATIC / "faults.json").read_text())

ENDS: Final = {
    "a good answer": "completed",
    "slow tokens": "completed",
    "slow first token": "completed",
    "429 twice, then fine": "completed",
    "429 for long": "rate_limited",
    "down": "upstream_failed",
    "down, a fallback answers": "completed",
    "a gateway's page": "upstream_failed",
    "key refused": "upstream_rejected",
    "connection dropped": "upstream_failed",
    "no answer at all": "upstream_timed_out",
    "stalls in mid-answer": "upstream_timed_out",
    "cut in mid-answer": "upstream_failed",
    "cut, and continued": "completed",
    "cut, and begun anew": "completed",
    "lies about the end": "upstream_failed",
    "malformed": "upstream_failed",
    "error event": "upstream_failed",
    "empty reply": "upstream_failed",
    "cut short by the limit": "completed",
    "content filter": "content_refused",
}
"""How a run with each fault ends: well, or with this code."""


@in_one_loop
async def mocks() -> AsyncIterator[MockProviders]:
    """All providers, on this machine."""
    async with mock_providers() as running:
        yield running


@in_one_loop
async def mocked(
    start_service: StartService, mocks: MockProviders, monkeypatch: pytest.MonkeyPatch
) -> RunningService:
    """A service with a mock provider `mock` beside the scripted model, and no pause but advised."""
    monkeypatch.setenv("MOCK_KEY", "mock")
    section = ProviderSection(base_url=mocks.openai_url, api_key_env=("MOCK_KEY",), mock=True)
    return await start_service(
        providers={"mock": section}, models={"retries": {"initial_seconds": 0}}
    )


@in_one_loop
async def menu(open_page: OpenPage, mocked: RunningService) -> Shown:
    """A tab whose form has the menu of faults."""
    return await open_page(mocked)


async def run(tab: Shown, title: str, prompt: str = "Say something.") -> Card:
    """Start a run with a fault of that title."""
    await tab.page.select_option("#fault", label=title)
    await tab.page.fill("[data-field=prompt]", prompt)
    await tab.page.click("#run")
    return Card(tab.cards.first)


def test_the_menu_is_one_of_the_mocks() -> None:
    """Each entry is a name that a mock knows and fields that a request may have, none twice."""
    for fault in FAULTS:
        behaviour_of(f"mock-{fault['words']}" if fault["words"] else "mock")
        GenerateBody(prompt="x", **fault.get("request", {}))

    assert [fault["title"] for fault in FAULTS] == list(ENDS)
    assert len({json.dumps(fault | {"title": "", "shows": ""}) for fault in FAULTS}) == len(FAULTS)


@pytest.mark.parametrize("fault", FAULTS, ids=[fault["title"] for fault in FAULTS])
async def test_each_fault_ends_as_it_says(
    mocked: RunningService, http: aiohttp.ClientSession, fault: dict[str, Any]
) -> None:
    """What the menu would send is answered, or fails with the code of that fault."""
    more = {"fallback_models": ["mock/mock"]} if fault.get("fallback") else {}
    name = "-".join(filter(None, ("mock/t1-mock", fault["words"])))
    body = {"prompt": "Say something.", "model": name, **more, **fault.get("request", {})}
    async with http.post(f"{mocked.url}/v1/generate", json=body) as response:
        answer = await response.json()

    assert answer.get("code", "completed") == ENDS[fault["title"]]


@pytest.mark.browser
async def test_without_a_mock_there_is_no_menu(tab: Shown) -> None:
    """A service whose providers are real offers no faults."""
    await expect(tab.page.locator("#fault-field")).to_be_hidden()


@pytest.mark.browser
async def test_attempts_are_seen(menu: Shown, mocks: MockProviders) -> None:
    """Every refused call stands on the card with its code and what comes next; then it is fine."""
    card = await run(menu, "429 twice, then fine")
    await card.ends("completed")

    notes = card.element.locator(".notes li")
    await expect(notes).to_have_count(2)
    await expect(notes.first).to_contain_text("rate_limited")
    await expect(notes.first).to_contain_text(re.compile(r" in 1\.\d s\.$"))  # with jitter
    await expect(card.chips).to_contain_text("3 attempts")
    assert [request.status for request in mocks.requests] == [429, 429, 200]


@pytest.mark.browser
async def test_a_fallback_is_seen(menu: Shown) -> None:
    """When the model is given up, the card names the model that answers instead."""
    card = await run(menu, "down, a fallback answers")
    await card.ends("completed")

    await expect(card.element.locator(".notes")).to_contain_text("Next: mock/mock.")
    await expect(card.chips.get_by_text("mock/mock", exact=True)).to_be_visible()


@pytest.mark.browser
async def test_a_cut_is_an_error_with_its_code(menu: Shown) -> None:
    """What came before the cut is kept, and the end says that it is a part, and why."""
    card = await run(menu, "cut in mid-answer")
    await card.ends("failed")

    await expect(card.ending).to_contain_text("upstream_failed")
    await expect(card.ending).to_contain_text("What is here is a part")
    assert await card.text()


@pytest.mark.browser
async def test_a_cut_can_be_mended(menu: Shown) -> None:
    """Begun anew, the card says so, and the answer is whole."""
    card = await run(menu, "cut, and begun anew")
    await card.ends("completed")

    await expect(card.chips).to_contain_text("restarted")
    await expect(card.ending).to_contain_text("Text checked (SHA-256)")


@pytest.mark.browser
async def test_a_fault_is_due_each_time(menu: Shown, mocks: MockProviders) -> None:
    """Every run takes another name: neither the cache nor the mock's count is in the way."""
    for _ in range(2):
        card = await run(menu, "429 twice, then fine")
        await card.ends("completed")
        await expect(card.chips).to_contain_text("3 attempts")

    assert len({request.model for request in mocks.requests}) == 2


@pytest.mark.browser
async def test_words_of_ones_own(menu: Shown, mocks: MockProviders) -> None:
    """What is typed becomes the name; what no name can have is refused in the form."""
    await menu.page.select_option("#fault", label="words of your own")
    await menu.page.fill("#fault-words", "cut 50")
    await menu.page.fill("[data-field=prompt]", "Say something.")
    await menu.page.click("#run")
    await expect(menu.page.locator("#composer-complaint")).to_contain_text("joined by -")
    await menu.page.fill("#fault-words", "400")
    await menu.page.click("#run")
    await Card(menu.cards.first).ends("failed")

    assert [(request.model or "").partition("-")[2] for request in mocks.requests] == ["mock-400"]


@pytest.mark.browser
@pytest.mark.parametrize("title", ["malformed", "cut, and begun anew", "down, a fallback answers"])
async def test_a_fault_comes_back_into_the_form(menu: Shown, title: str) -> None:
    """Put into the form again, a run with a fault has that fault chosen, and no model."""
    card = await run(menu, title)
    await expect(card.ending).to_be_visible()
    await menu.page.select_option("#fault", "")
    await card.act("events")
    await menu.page.get_by_role("tab", name="Request").click()
    await menu.page.get_by_role("button", name="Put into the form").click()

    chosen = "() => document.getElementById('fault').selectedOptions[0].text"
    assert await menu.page.evaluate(chosen) == title
    await expect(menu.page.locator("#model")).to_be_disabled()


@pytest.mark.browser
@pytest.mark.parametrize(
    ("name", "scheme", "width"),
    [("light", "light", 1440), ("dark", "dark", 1440), ("narrow", "light", 360)],
)
async def test_look(
    open_page: OpenPage, mocked: RunningService, name: str, scheme: Scheme, width: int
) -> None:
    """Menu, attempts and ends are legible in both schemes and stick out nowhere."""
    tab = await open_page(mocked, color_scheme=scheme, viewport={"width": width, "height": 900})
    ARTIFACTS.mkdir(exist_ok=True)
    await tab.page.select_option("#fault", label="cut in mid-answer")
    await tab.page.screenshot(path=ARTIFACTS / f"page-faults-menu-{name}.png")
    for title in ("a good answer", "429 for long", "cut in mid-answer", "down, a fallback answers"):
        if width < 400 and await tab.page.locator("#composer").is_hidden():
            await tab.page.click("#composer-fold")
        card = await run(tab, title, prompt=f"How does this end: {title}?")
        await expect(card.ending).to_be_visible()
    await tab.page.screenshot(path=ARTIFACTS / f"page-faults-{name}.png")

    assert await overflow(tab) == (0, 0)
    assert await tab.page.evaluate(FAINT) == []
