"""The cache on the page: replays that say so, the hit rate, and the panel of entries."""

import re
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from playwright.async_api import Locator, expect

from llm_stream.testing import Fault, Script, ScriptedModel
from llm_stream.testing.service import RunningService, running_service

from ..conftest import StartService, settings
from ..redisserver import RedisServer
from .conftest import ARTIFACTS, SCRIPT, TEXT, HeldModel, OpenPage, Shown, in_one_loop
from .test_look import FAINT, Scheme, overflow

pytestmark = pytest.mark.browser

PROMPT = "Which fields has an order?"


class Ask:
    """Asks a service over HTTP, beside the page."""

    def __init__(self, http: aiohttp.ClientSession, service: RunningService) -> None:
        self.http = http
        self.url = service.url

    async def __call__(self, prompt: str, **body: Any) -> None:
        """Have an answer computed, or given again."""
        body = {"prompt": prompt} | body
        async with self.http.post(f"{self.url}/v1/generate", json=body) as response:
            assert response.status == 200, await response.text()


@in_one_loop
async def ask(http: aiohttp.ClientSession, shop: RunningService, held: HeldModel) -> Ask:
    """Asks the service of `tab`, whose model says everything at once."""
    held.free()
    return Ask(http, shop)


async def open_panel(tab: Shown) -> Locator:
    """Open the cache and wait for its figures."""
    await tab.panel("cache")
    panel = tab.page.locator("#cache")
    await expect(panel.locator("#cache-numbers")).to_contain_text("hit rate")
    return panel


async def choose(panel: Locator, kind: str, name: str) -> None:
    """Have the panel list the entries that have this name."""
    await panel.locator("#cache-kind").select_option(kind)
    await panel.locator("#cache-name").fill(name)
    await panel.get_by_role("button", name="Show").click()


async def test_a_hit_is_replayed_and_says_so(tab: Shown, held: HeldModel) -> None:
    """The second equal run is there at once, with its age and what it saves instead of a speed."""
    held.free()
    await (await tab.run(PROMPT)).ends("completed")
    card = await tab.run(PROMPT)

    await expect(card.chips).to_contain_text(re.compile(r"cache hit, \d+ s old"))
    await card.ends("completed")
    assert await card.text() == TEXT
    await expect(card.ending).to_contain_text("Text checked (SHA-256)")
    await expect(card.element.locator(".replayed")).to_be_visible()
    await expect(card.element.locator(".numbers div:visible")).to_have_text(
        ["saved90 tokens", "total0 ms, from the cache"]
    )
    assert len(held.calls) == 1


async def test_a_card_replays_its_answer(tab: Shown, held: HeldModel) -> None:
    """Replay says the kept answer again, marked, and calls no model; Run again calls it."""
    held.free()
    card = await tab.run(PROMPT)
    await card.ends("completed")
    await card.act("replay")
    replay = tab.cards.first
    await expect(replay.locator(".replayed")).to_be_visible()
    await expect(replay).to_have_attribute("data-state", "completed")
    await expect(replay.locator(".answer")).to_have_js_property("textContent", TEXT)
    assert len(held.calls) == 1

    await replay.locator("[data-act=again]").click()
    await expect(tab.cards.first.locator(".chips")).to_contain_text("cache bypassed")
    await expect(tab.cards.first).to_have_attribute("data-state", "completed")
    await expect(tab.cards.first.locator("[data-act=replay]")).to_be_hidden()
    assert len(held.calls) == 2


async def test_what_is_no_longer_kept_is_not_replayed(tab: Shown, held: HeldModel) -> None:
    """Once the entry is dropped, a replay is not started, says why, and calls no model."""
    held.free()
    card = await tab.run(PROMPT)
    await card.ends("completed")
    panel = await open_panel(tab)
    await panel.get_by_role("button", name=f"Drop: {PROMPT}").click()
    await expect(panel.locator("#cache-told")).to_contain_text("Dropped")
    await tab.page.keyboard.press("Escape")
    await card.act("replay")

    await expect(tab.cards.first.locator(".ending")).to_contain_text(
        "Not started. Not in the cache. There is no answer to this request in the cache."
    )
    assert len(held.calls) == 1


async def test_a_miss_is_not_marked(tab: Shown, held: HeldModel) -> None:
    """A run that called the model has a first token and a speed, and no mark of a replay."""
    held.free()
    card = await tab.run(PROMPT)
    await card.ends("completed")

    await expect(card.element.locator(".replayed")).to_be_hidden()
    await expect(card.element.locator("[data-number=first]")).to_be_visible()
    await expect(card.element.locator("[data-number=tokens]")).to_have_text("60")


async def test_a_paced_hit_streams(tab: Shown, held: HeldModel) -> None:
    """A hit at a pace grows like an answer, is marked as a replay meanwhile, and calls nobody."""
    held.free()
    await (await tab.run(PROMPT)).ends("completed")
    await tab.page.click("text=Options")
    await tab.page.select_option("#cache-pace", "20")
    card = await tab.run(PROMPT)

    await expect(card.element).to_have_attribute("data-state", "running")
    await expect(card.answer).to_contain_text(SCRIPT.chunks[1])
    await expect(card.element.locator(".replayed")).to_be_visible()
    assert len(await card.text()) < len(TEXT)
    ARTIFACTS.mkdir(exist_ok=True)
    await tab.page.screenshot(path=ARTIFACTS / "page-cache-paced.png")
    await card.ends("completed")
    assert await card.text() == TEXT
    await expect(card.element.locator("[data-number=rate]")).to_be_visible()
    assert len(held.calls) == 1


async def test_cache_options_are_sent_and_restored(tab: Shown, held: HeldModel) -> None:
    """What the form says of the cache is in the request, and comes back when it is edited."""
    held.free()
    await tab.page.click("text=Options")
    await tab.page.select_option("#cache-mode", "refresh")
    await tab.page.select_option("#cache-pace", "100")
    await tab.page.fill("#cache-tags", "shop, draft")
    card = await tab.run(PROMPT)
    await card.ends("completed")
    await tab.page.select_option("#cache-mode", "")
    await tab.page.select_option("#cache-pace", "")
    await tab.page.fill("#cache-tags", "")
    await card.act("events")
    await tab.page.get_by_role("tab", name="Request").click()

    await expect(tab.page.locator(".snippet").first).to_contain_text(
        re.compile(r'"mode":\s*"refresh",\s*"pace":\s*100,\s*"tags":\s*\[\s*"shop",\s*"draft"')
    )
    await tab.page.get_by_role("button", name="Put into the form").click()
    await expect(tab.page.locator("#cache-mode")).to_have_value("refresh")
    await expect(tab.page.locator("#cache-pace")).to_have_value("100")
    await expect(tab.page.locator("#cache-tags")).to_have_value("shop, draft")


async def test_mode_only_never_calls_a_model(tab: Shown, held: HeldModel) -> None:
    """Without an entry, `only` is a run that was not started, and says why."""
    await tab.page.click("text=Options")
    await tab.page.select_option("#cache-mode", "only")
    card = await tab.run(PROMPT)

    await card.ends("failed")
    await expect(card.ending).to_contain_text("There is no answer to this request in the cache.")
    assert held.calls == []


async def test_the_hit_rate_is_in_the_status_bar(tab: Shown, held: HeldModel) -> None:
    """It is asked for when a run has ended, and is that of the service."""
    held.free()
    await expect(tab.status("hit-rate")).to_have_text("–")  # noqa: RUF001 - as it is shown
    await (await tab.run(PROMPT)).ends("completed")
    await expect(tab.status("hit-rate")).to_have_text("0 %")
    await (await tab.run(PROMPT)).ends("completed")

    await expect(tab.status("hit-rate")).to_have_text("50 %")


async def test_the_panel_lists_entries_with_what_they_save(tab: Shown, ask: Ask) -> None:
    """Each entry has its title, names, tags, age and tokens; above stand the figures of all."""
    for prompt in (PROMPT, PROMPT, "Prices?"):
        await ask(prompt, cache={"tags": ["shop"]})
    panel = await open_panel(tab)

    await expect(panel.locator(".entry-title")).to_have_text(["Prices?", PROMPT])
    await expect(panel.locator(".entry").first.locator(".chip")).to_have_text(
        ["generate", "held", "#shop"]
    )
    await expect(panel.locator(".entry-facts").first).to_contain_text(
        re.compile(r"^\d s old, 23 h left · [\d.]+ kB · saves 90 tokens, \d+ ms · [0-9a-f]{12}$")
    )
    for figure in ("hit rate33 %", "hits1", "saved90 tokens", "entries2", "evictions0"):
        await expect(panel.locator("#cache-numbers div").filter(has_text=figure)).to_be_visible()
    await expect(tab.status("hit-rate")).to_have_text("33 %")


async def test_an_empty_cache_says_so(tab: Shown) -> None:
    """A panel without entries says when there will be some."""
    panel = await open_panel(tab)

    await expect(panel.locator("#cache-empty")).to_contain_text("The cache is empty")
    await expect(panel.locator("#cache-numbers")).to_contain_text("nobody has asked yet")
    await expect(panel.locator("#cache-more")).to_be_hidden()


async def test_one_entry_is_dropped(tab: Shown, ask: Ask, held: HeldModel) -> None:
    """A dropped entry leaves the list, the others stay; its neighbour has the focus."""
    for prompt in ("One?", "Two?", "Three?"):
        await ask(prompt)
    panel = await open_panel(tab)
    await panel.get_by_role("button", name="Drop: Two?").focus()
    await tab.page.keyboard.press("Enter")

    await expect(panel.locator(".entry-title")).to_have_text(["Three?", "One?"])
    await expect(panel.locator("#cache-told")).to_have_text("Dropped “Two?”.")
    await expect(panel.get_by_role("button", name="Drop: One?")).to_be_focused()
    await expect(panel.locator("#cache-invalidate")).to_have_text("Invalidate all (2)")
    await ask("Two?")
    assert len(held.calls) == 4


@pytest.mark.parametrize(
    ("kind", "name"),
    [("tag", "shop"), ("model", "held"), ("recipe", "generate"), ("template", "next-step")],
)
async def test_entries_are_invalidated_by_name(tab: Shown, ask: Ask, kind: str, name: str) -> None:
    """What has a name is listed and dropped, what has not stays; how many is told."""
    template = {"template": "next-step", "params": {"stage": "design"}}
    for prompt in ("One?", "Two?"):
        await ask(prompt, cache={"tags": ["shop"]}, **template)
    await ask("Other?", model="fast")
    panel = await open_panel(tab)
    await choose(panel, kind, name)
    listed = {"recipe": 3}.get(kind, 2)
    await expect(panel.locator(".entry")).to_have_count(listed)
    await panel.get_by_role("button", name=f"Invalidate these ({listed})").click()

    await expect(panel.locator("#cache-told")).to_have_text(f"Dropped {listed} entries.")
    await expect(panel.locator("#cache-empty")).to_contain_text(f"No entry has the {kind} “{name}”")
    await panel.locator("#cache-kind").select_option("all")
    await expect(panel.locator(".entry")).to_have_count(3 - listed)


async def test_dropping_everything_is_asked_twice(tab: Shown, ask: Ask) -> None:
    """The first press only asks; leaving the button takes the question back."""
    await ask("One?")
    panel = await open_panel(tab)
    button = panel.locator("#cache-invalidate")
    await button.click()
    await expect(button).to_have_text("Really drop all 1")
    await panel.locator("#cache-kind").focus()
    await expect(button).to_have_text("Invalidate all (1)")
    await button.click()
    await button.click()

    await expect(panel.locator("#cache-told")).to_have_text("Dropped 1 entry.")
    await expect(panel.locator("#cache-empty")).to_be_visible()


async def test_an_entry_is_computed_anew(tab: Shown, ask: Ask, held: HeldModel) -> None:
    """The answer is computed as a run of the page, and the new entry takes the old one's place."""
    await ask("One?")
    await ask("Two?")
    panel = await open_panel(tab)
    await panel.get_by_role("button", name="Compute anew: One?").click()

    await expect(panel.locator("#cache-told")).to_have_text("Computed “One?” anew.")
    await expect(panel.locator(".entry-title")).to_have_text(["One?", "Two?"])
    assert len(held.calls) == 3
    await tab.page.keyboard.press("Escape")
    await tab.card("One?").ends("completed")


async def test_what_cannot_be_computed_anew_is_told(
    open_page: OpenPage, start_service: StartService, http: aiohttp.ClientSession
) -> None:
    """When the new run fails, the panel says so and the entry stays."""
    fault = Fault(error=ConnectionError("connection reset"))
    service = await start_service(ScriptedModel("frail", Script(), Script(fault=fault)))
    await Ask(http, service)("One?", model="frail")
    panel = await open_panel(await open_page(service))
    await panel.get_by_role("button", name="Compute anew: One?").click()

    await expect(panel.locator("#cache-complaint")).to_contain_text(
        "“One?” was not computed anew: its run is failed. The entry stays."
    )
    await expect(panel.locator(".entry")).to_have_count(1)


async def test_more_entries_come_when_asked_for(tab: Shown, ask: Ask) -> None:
    """Fifty are shown at once; the rest is a press away, none twice."""
    for number in range(53):
        await ask(f"Question {number}?")
    panel = await open_panel(tab)
    await expect(panel.locator(".entry")).to_have_count(50)
    await panel.get_by_role("button", name="More: 3 left").click()

    await expect(panel.locator(".entry")).to_have_count(53)
    await expect(panel.locator(".entry-title").last).to_have_text("Question 0?")
    await expect(panel.locator("#cache-more")).to_be_hidden()


async def test_the_last_of_many_entries_is_reached(
    tab: Shown, ask: Ask, http: aiohttp.ClientSession
) -> None:
    """More goes on behind a thousand entries, with more at each press, to the very last."""
    for batch in range(5):
        asked = [{"input": {"prompt": f"Question {batch}-{number}?"}} for number in range(256)]
        async with http.post(f"{ask.url}/v1/batch", json={"requests": asked}) as response:
            await response.read()
    panel = await open_panel(tab)
    shown = panel.locator(".entry")
    for count in (50, 100, 200, 400, 800):
        await expect(shown).to_have_count(count)
        await panel.locator("#cache-more").click()

    await expect(panel.locator("#cache-more")).to_be_hidden()
    await expect(panel.locator("#cache-numbers")).to_contain_text(f"entries{await shown.count():,}")
    assert await shown.count() >= 5 * 256
    await shown.last.scroll_into_view_if_needed()
    await expect(shown.last).to_be_in_viewport()


async def test_money_and_restored_answers_are_told(
    open_page: OpenPage, start_service: StartService, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    """With prices the panel says what hits did not cost; after a restart, what history had."""
    history = {"enabled": True, "path": str(tmp_path / "logs.db")}
    price = {"input_per_million": 1_000, "output_per_million": 4_000}
    sections: dict[str, Any] = {"history": history, "cache": {"prices": {"priced": price}}}
    model = ScriptedModel("priced", Script(usage=(1_000, 500)))
    async with running_service(settings(**sections), [ScriptedModel("scripted"), model]) as before:
        await Ask(http, before)("One?", model="priced")
    service = await start_service(model, **sections)
    await Ask(http, service)("One?", model="priced")
    panel = await open_panel(await open_page(service))

    for figure in ("saved1,500 tokens", "cost saved3.00", "restored1"):
        await expect(panel.locator("#cache-numbers div").filter(has_text=figure)).to_be_visible()


async def test_the_panel_is_used_by_keyboard(tab: Shown, ask: Ask) -> None:
    """It opens from the status bar, Esc closes it alone, and the focus is where it was."""
    await ask(PROMPT)
    card = await tab.run(PROMPT)
    await card.ends("completed")
    await card.act("events")
    opener = tab.page.locator("#cache-open")
    await opener.focus()
    await tab.page.keyboard.press("Enter")
    panel = tab.page.locator("#cache")
    await expect(panel.locator(".entry")).to_have_count(1)
    await tab.page.keyboard.press("Escape")

    await expect(panel).to_be_hidden()
    await expect(tab.page.locator("#drawer")).to_be_visible()
    await expect(opener).to_be_focused()


async def test_problems_are_told_in_words(tab: Shown, ask: Ask) -> None:
    """What the service refuses stands in the panel, and so does a name that is missing."""
    await ask("One?")
    panel = await open_panel(tab)
    await panel.locator("#cache-kind").select_option("tag")
    await panel.get_by_role("button", name="Show").click()
    await expect(panel.locator("#cache-complaint")).to_have_text("Name a tag.")
    await choose(panel, "tag", "x" * 300)
    await expect(panel.locator("#cache-complaint")).to_contain_text(
        "The cache could not be read. A field is invalid. Field 'tag'"
    )
    tab.complaints.clear()  # the browser's own line about the status 400


async def test_a_cache_in_redis_shows_what_it_can_tell(
    redis_server: RedisServer,  # the first: it has to outlive the page, which looks again and again
    open_page: OpenPage,
    start_service: StartService,
    http: aiohttp.ClientSession,
) -> None:
    """Where the backend has bounds of its own, sizes and evictions are left out."""
    service = await start_service(cache={"url": redis_server.url})
    await Ask(http, service)("One?")
    panel = await open_panel(await open_page(service))

    await expect(panel.locator(".entry-title")).to_have_text(["One?"])
    await expect(panel.locator("#cache-numbers dt")).to_have_text(
        ["hit rate", "hits", "saved", "entries"]
    )


async def test_a_cache_that_is_gone_is_told(
    open_page: OpenPage, start_service: StartService, redis_server: RedisServer
) -> None:
    """Without its backend the cache is a problem in the panel and no figure in the status bar."""
    tab = await open_page(await start_service(cache={"url": redis_server.url}))
    await (await tab.run(PROMPT)).ends("completed")
    await expect(tab.status("hit-rate")).to_have_text("0 %")
    redis_server.kill()
    await (await tab.run("Prices?")).ends("completed")
    await expect(tab.status("hit-rate")).to_have_text("–")  # noqa: RUF001 - as it is shown
    await tab.page.click("#cache-open")

    await expect(tab.page.locator("#cache-complaint")).to_contain_text(
        "The cache could not be read. The cache is not available."
    )
    tab.complaints.clear()  # the browser's own lines about the status 503


async def test_titles_are_never_markup(tab: Shown, ask: Ask) -> None:
    """What looks like HTML in a request is text in the panel."""
    hostile = "<img src=x onerror=alert(1)><b>bold</b>"
    await ask(hostile, cache={"tags": ["<i>tag</i>"]})
    panel = await open_panel(tab)

    await expect(panel.locator(".entry-title")).to_have_text(hostile)
    await expect(panel.locator(".entry").locator("img, b, i")).to_have_count(0)


@pytest.mark.parametrize(
    ("name", "scheme", "width"),
    [("light", "light", 1440), ("dark", "dark", 1440), ("narrow", "light", 360)],
)
async def test_look(
    open_page: OpenPage, shop: RunningService, ask: Ask, name: str, scheme: Scheme, width: int
) -> None:
    """The panel is legible in both schemes and sticks out nowhere, not even on a phone."""
    template = {"template": "next-step", "params": {"stage": "requirements gathering"}}
    await ask("How do returns work in a small web shop that ships to one country only?")
    await ask("A web shop for lamps.", **template, cache={"tags": ["shop", "draft"]})
    await ask("Say hello.", model="fast", cache={"ttl_seconds": 600})
    high = 900 if width > 400 else 740
    tab = await open_page(shop, color_scheme=scheme, viewport={"width": width, "height": high})
    await (await tab.run(PROMPT)).ends("completed")
    if width < 400:
        await tab.page.click("#composer-fold")
    await (await tab.run(PROMPT)).ends("completed")
    ARTIFACTS.mkdir(exist_ok=True)
    await expect(tab.status("hit-rate")).to_have_text("20 %")
    await tab.page.screenshot(path=ARTIFACTS / f"page-cache-hit-{name}.png")
    assert await overflow(tab) == (0, 0)
    panel = await open_panel(tab)
    await expect(panel.locator(".entry")).to_have_count(4)
    await tab.page.screenshot(path=ARTIFACTS / f"page-cache-{name}.png")

    assert await overflow(tab) == (0, 0)
    assert await tab.page.evaluate(FAINT) == []
    wide = "dialog => dialog.scrollWidth - dialog.clientWidth"
    assert await panel.evaluate(wide) == 0
    await choose(panel, "tag", "shop")
    await expect(panel.locator(".entry")).to_have_count(1)
    await tab.page.screenshot(path=ARTIFACTS / f"page-cache-tag-{name}.png")
    assert await panel.evaluate(wide) == 0
