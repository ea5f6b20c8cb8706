"""The runs of the service on the page: a list that stays up to date, and permalinks."""

import aiohttp
import pytest
from playwright.async_api import Locator, expect

from llm_stream.testing.service import RunningService

from ..conftest import StartService
from ..wire import start_async, until
from .conftest import TEXT, HeldModel, OpenPage, Shown

pytestmark = pytest.mark.browser


async def ask(http: aiohttp.ClientSession, service: RunningService, prompt: str) -> None:
    """Have a question answered by the model that does not wait."""
    body = {"prompt": prompt, "model": "fast"}
    async with http.post(f"{service.url}/v1/generate", json=body) as response:
        assert response.status == 200, await response.text()


def titles(panel: Locator) -> Locator:
    """What the runs of the list are called, newest first."""
    return panel.locator(".entry-title")


async def test_runs_of_others_are_listed_and_stay_up_to_date(
    tab: Shown, shop: RunningService, held: HeldModel, http: aiohttp.ClientSession
) -> None:
    """A run that another program starts appears by itself, and so does its end."""
    await ask(http, shop, "One?")
    panel = await tab.panel("runs")
    await expect(titles(panel)).to_have_text(["One?"])
    run, _ = await start_async(http, shop.url, prompt="Two?")
    await expect(titles(panel)).to_have_text(["Two?", "One?"])
    newest = panel.locator(f"[data-run={run}]")
    await expect(newest).to_have_attribute("data-state", "running")

    await newest.get_by_role("button", name="Cancel").click()
    await expect(newest).to_have_attribute("data-state", "cancelled")
    await expect(panel.get_by_role("status")).to_have_text("Cancelled “Two?”.")
    await expect(newest.get_by_role("button", name="Cancel")).to_be_hidden()


async def test_runs_are_chosen_by_state_and_recipe(
    tab: Shown, shop: RunningService, held: HeldModel, http: aiohttp.ClientSession
) -> None:
    """The list can be narrowed down; nothing left is told."""
    await ask(http, shop, "One?")
    await start_async(http, shop.url, prompt="Two?")
    panel = await tab.panel("runs")
    await panel.locator("#runs-state").select_option("completed")
    await expect(titles(panel)).to_have_text(["One?"])
    await panel.locator("#runs-recipe").select_option("reason")
    await expect(panel.get_by_text("No such run.")).to_be_visible()
    await panel.locator("#runs-state").select_option("")
    await panel.locator("#runs-recipe").select_option("generate")

    await expect(titles(panel)).to_have_text(["Two?", "One?"])


async def test_a_run_of_the_list_is_opened_as_a_card(
    tab: Shown, shop: RunningService, held: HeldModel, http: aiohttp.ClientSession
) -> None:
    """Open puts the whole run on the page, by keyboard, with its title, and goes to it."""
    held.free()
    run, _ = await start_async(http, shop.url, prompt="Who pays for returns?")
    await until(lambda: shop.parts.registry.find(run).state == "completed")
    panel = await tab.panel("runs")
    await panel.get_by_role("button", name="Open").press("Enter")
    await expect(panel).to_be_hidden()
    card = tab.card("Who pays for returns?")
    await card.ends("completed")
    await expect(card.element).to_be_focused()

    assert await card.text() == TEXT


async def test_a_batch_is_opened_with_its_results(
    tab: Shown, shop: RunningService, http: aiohttp.ClientSession
) -> None:
    """Each result stands where its request stood, a failure with its code."""
    asked = [{"prompt": "One?", "model": "fast"}, {"prompt": "Two?", "cache": {"mode": "only"}}]
    body = {"requests": [{"recipe": "generate", "input": request} for request in asked]}
    async with http.post(f"{shop.url}/v1/batch", json=body) as response:
        assert response.status == 200, await response.text()
    panel = await tab.panel("runs")
    await panel.get_by_role("button", name="Open").click()
    card = tab.cards.first

    await expect(card.locator(".sum")).to_have_text("1 of 2 completed, 1 failed.")
    await expect(card.locator("[data-place='0'] .passage")).to_have_text("Hello, world.")
    await expect(card.locator("[data-place='1'] .passage")).to_contain_text("not_cached: ")


async def test_a_permalink_outlives_a_reload(
    tab: Shown, shop: RunningService, held: HeldModel, http: aiohttp.ClientSession
) -> None:
    """A second tab at the link of the list shows the run, also after it is loaded again."""
    held.free()
    run, _ = await start_async(http, shop.url, prompt="Who pays for returns?")
    panel = await tab.panel("runs")
    async with tab.page.context.expect_page() as opened:
        await panel.get_by_role("link", name="2nd tab").click()
    second = Shown(await opened.value, shop.url)
    await second.card("Who pays for returns?").ends("completed")
    assert second.page.url == f"{shop.url}/#run={run}"
    await second.page.reload()

    await second.card("Who pays for returns?").says(TEXT)
    await expect(second.cards).to_have_count(1)


async def test_runs_of_the_past_are_listed_and_opened(
    open_page: OpenPage, start_service: StartService, held: HeldModel, http: aiohttp.ClientSession
) -> None:
    """What is only in the history is listed below, opened as a card that says so, and linked."""
    service = await start_service(
        history={"enabled": True}, models={"aliases": {"fast": "scripted"}}
    )
    for prompt in ("One?", "Two?", "Three?"):
        await ask(http, service, prompt)
    for run in list(service.parts.registry.newest())[1:]:
        service.parts.registry.forget(run)
    tab = await open_page(service)
    panel = await tab.panel("runs")
    past = panel.get_by_role("region", name="From the history")
    await expect(titles(panel)).to_have_text(["Three?"])
    await past.get_by_role("button", name="Older runs").press("Enter")
    seen = past.locator(".entry:visible")
    await expect(seen.locator(".entry-title")).to_have_text(["Two?", "One?"])
    await expect(past).to_be_focused()
    await seen.first.get_by_role("button", name="Open").press("Enter")
    await expect(panel).to_be_hidden()
    card = tab.card("Two?")
    await expect(card.element).to_be_focused()

    await card.ends("completed")
    await card.says("Hello, world.")
    await expect(card.chips).to_contain_text("from the history")
    await card.element.get_by_text("What was asked").click()
    await expect(card.element.get_by_role("group", name="user")).to_have_text("Two?")
    await expect(card.element.locator("footer button:visible")).to_have_text(["Copy", "Link"])
    await tab.page.reload()
    await tab.ready()
    await tab.card("Two?").says("Hello, world.")
    await expect(tab.page.locator("#announcer")).to_have_text("Two?: completed, from the history")
    await tab.page.goto(f"{service.url}/#run={await tab.card('Two?').run_id()}")
    await expect(tab.cards).to_have_count(1)


async def test_a_permalink_to_a_run_that_is_gone_says_so(
    open_page: OpenPage, start_service: StartService, http: aiohttp.ClientSession
) -> None:
    """Where a run is no longer kept its card says why, instead of waiting."""
    service = await start_service()
    run, _ = await start_async(http, service.url, prompt="Hi")
    await until(lambda: service.parts.registry.find(run).state == "completed")
    service.parts.registry.forget(service.parts.registry.find(run))
    tab = await open_page(service, f"/#run={run}")
    ending = tab.cards.first.locator(".ending")

    await expect(tab.cards.first).to_have_attribute("data-state", "lost")
    await expect(ending).to_contain_text("Unknown. The service does not know this run")
