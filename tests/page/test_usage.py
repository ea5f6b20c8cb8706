"""The account on the page: a table by group, since when, with what it leaves out."""

from typing import Any

import aiohttp
import pytest
from playwright.async_api import Locator, expect

from llm_stream.testing import Fault, Script, ScriptedModel
from llm_stream.testing.service import RunningService

from ..conftest import StartService
from ..wire import follow, start_async, until
from .conftest import ARTIFACTS, OpenPage, Shown, in_one_loop
from .test_look import FAINT, Scheme, overflow

pytestmark = pytest.mark.browser

PRICES = {"priced": {"input_per_million": 1_000, "output_per_million": 4_000}}


@in_one_loop
async def accounted(start_service: StartService) -> RunningService:
    """A service with a history, a model that has a price and one that has none."""
    return await start_service(
        ScriptedModel("priced", Script(usage=(1_000, 500))),
        history={"enabled": True},
        cache={"prices": PRICES},
        models={"default": "priced", "aliases": {"fast": "scripted"}},
    )


async def ask(http: aiohttp.ClientSession, service: RunningService, **body: Any) -> None:
    """Have a question answered."""
    async with http.post(f"{service.url}/v1/generate", json=body) as response:
        assert response.status == 200, await response.text()


async def open_panel(tab: Shown) -> Locator:
    """Open the account and wait for its total."""
    panel = await tab.panel("usage")
    await expect(panel.locator("tfoot")).to_contain_text("total")
    return panel


def row(panel: Locator, name: str) -> Locator:
    """The cells of the row of that group."""
    return panel.locator(f"tr:has(th:text-is('{name}')) td")


async def test_a_row_a_group_and_the_total(
    open_page: OpenPage, accounted: RunningService, http: aiohttp.ClientSession
) -> None:
    """Calls, shares, tokens and cost stand beside each model; below what has no price."""
    for _ in range(2):
        await ask(http, accounted, prompt="One?")
    await ask(http, accounted, prompt="Two?", model="fast")
    panel = await open_panel(await open_page(accounted))

    await expect(panel.locator("tbody th")).to_have_text(["priced", "scripted"])
    cells = ["2", "50 %", "0 %", "100 %", "1,000", "500", "3.00"]
    for place, text in enumerate(cells):
        await expect(row(panel, "priced").nth(place)).to_have_text(text)
    await expect(row(panel, "scripted").nth(6)).to_have_text("–")  # noqa: RUF001 - as it is shown
    await expect(row(panel, "total").first).to_have_text("3")
    await expect(panel.locator("#usage-note")).to_have_text(
        "7 tokens of models without a price are in no cost."
    )


async def test_groups_are_chosen(
    open_page: OpenPage, accounted: RunningService, http: aiohttp.ClientSession
) -> None:
    """What is ticked is grouped by, by keyboard as well; nothing ticked is everything."""
    await ask(http, accounted, prompt="One?")
    await ask(http, accounted, prompt="Two?", model="fast")
    tab = await open_page(accounted)
    panel = await open_panel(tab)
    await panel.get_by_label("tier").focus()
    await tab.page.keyboard.press("Space")
    await expect(panel.locator("thead th").nth(1)).to_have_text("tier")
    await expect(row(panel, "scripted").first).to_have_text("fast")

    for name in ("tier", "model"):
        await panel.get_by_label(name).focus()
        await tab.page.keyboard.press("Space")

    await expect(panel.locator("tfoot")).to_contain_text("everything")
    await expect(panel.locator("tbody tr")).to_have_count(0)
    await expect(row(panel, "everything").first).to_have_text("2")


async def test_estimates_are_marked(
    open_page: OpenPage, start_service: StartService, http: aiohttp.ClientSession
) -> None:
    """Tokens of a cancelled call have a tilde."""
    model = ScriptedModel("cut", Script(chunks=("12345678",), fault=Fault(at=1, stall=True)))
    service = await start_service(model, history={"enabled": True})
    run, _ = await start_async(http, service.url, prompt="x" * 40, model="cut")
    await until(lambda: model.calls and model.calls[0].said)
    async with http.post(f"{service.url}/v1/runs/{run}/cancel") as response:
        assert response.status == 200
    await follow(http, service.url, run)
    panel = await open_panel(await open_page(service))

    await expect(row(panel, "cut").nth(4)).to_have_text("~10")
    await expect(row(panel, "cut").nth(5)).to_have_text("~2")


async def test_nothing_was_asked(open_page: OpenPage, accounted: RunningService) -> None:
    """A new service says so instead of showing an empty table."""
    tab = await open_page(accounted)
    await tab.page.click("#usage-open")

    await expect(tab.page.locator("#usage-empty")).to_be_visible()
    await expect(tab.page.locator("#usage-table")).to_be_hidden()
    await tab.page.keyboard.press("Escape")
    await expect(tab.page.locator("#usage")).to_be_hidden()
    await expect(tab.page.locator("#usage-open")).to_be_focused()


async def test_without_a_history_it_says_why(open_page: OpenPage, shop: RunningService) -> None:
    """What the service refuses stands in the panel."""
    tab = await open_page(shop)
    await tab.page.click("#usage-open")

    await expect(tab.page.locator("#usage-complaint")).to_contain_text(
        "The account could not be read. Not found. There is no account"
    )
    tab.complaints.clear()  # the browser's own line about the status 404


@pytest.mark.parametrize(
    ("name", "scheme", "width"),
    [("light", "light", 1440), ("dark", "dark", 1440), ("narrow", "light", 360)],
)
async def test_look(
    open_page: OpenPage,
    accounted: RunningService,
    http: aiohttp.ClientSession,
    name: str,
    scheme: Scheme,
    width: int,
) -> None:
    """The panel is legible in both schemes; on a phone only its table moves sideways."""
    for prompt in ("One?", "One?", "Two?"):
        await ask(http, accounted, prompt=prompt)
    await ask(http, accounted, prompt="Three?", model="fast")
    high = 900 if width > 400 else 740
    tab = await open_page(accounted, color_scheme=scheme, viewport={"width": width, "height": high})
    assert await overflow(tab) == (0, 0)
    panel = await open_panel(tab)
    ARTIFACTS.mkdir(exist_ok=True)
    await tab.page.screenshot(path=ARTIFACTS / f"page-usage-{name}.png")

    assert await overflow(tab) == (0, 0)
    assert await tab.page.evaluate(FAINT) == []
    assert await panel.evaluate("dialog => dialog.scrollWidth - dialog.clientWidth") == 0
