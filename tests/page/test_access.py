"""Whether everybody can use the page: axe on every part of it, keyboard, 360 px, 200 %."""

from typing import Final

import aiohttp
import pytest
from playwright.async_api import expect

from llm_stream.testing.service import RunningService

from ..conftest import StartService
from .conftest import ARTIFACTS, HeldModel, OpenPage, Shown, first, in_one_loop
from .test_look import overflow

pytestmark = [pytest.mark.browser, pytest.mark.node, pytest.mark.slow]

AXE: Final = ARTIFACTS / "node" / "node_modules" / "axe-core" / "axe.min.js"
RULES: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
PANELS: Final = ("runs", "metrics", "providers", "cache", "usage", "requests")

LOOK: Final = """async ([part, rules]) => {
  const found = await axe.run(part, { runOnly: rules, resultTypes: ["violations"] });
  return found.violations.flatMap(({ id, nodes }) => nodes.map(({ target }) => `${id}: ${target}`));
}"""


@in_one_loop
async def service(
    start_service: StartService, held: HeldModel, http: aiohttp.ClientSession
) -> RunningService:
    """A service with a history, which has answered before."""
    running = await start_service(held, history={"enabled": True}, models={"default": "held"})
    for prompt in ("One?", "One?", "Two?"):
        async with http.post(
            f"{running.url}/v1/generate", json={"prompt": prompt, "model": "scripted"}
        ) as response:
            assert response.status == 200, await response.text()
    registry = running.parts.registry
    registry.forget(list(registry.newest())[-1])  # of which only the history knows
    return running


class Inspector:
    """Looks at parts of a page with axe: all rules in light, contrast also in dark."""

    def __init__(self, tab: Shown, name: str) -> None:
        self.tab = tab
        self.name = name

    async def look(self, part: str, what: str, *, keep: bool = False) -> None:
        """Complain of what axe finds there, and of a page that is wider than its window."""
        page = self.tab.page
        if not await page.evaluate("'axe' in window"):
            await page.evaluate(AXE.read_text("utf-8"))
        assert await page.evaluate(LOOK, [part, RULES]) == [], what
        assert (await overflow(self.tab))[0] == 0, f"{what} is too wide"
        if keep:
            await page.screenshot(path=ARTIFACTS / f"page-{what}-light-{self.name}.png")
        await page.emulate_media(color_scheme="dark")
        assert await page.evaluate(LOOK, [part, ["color-contrast"]]) == [], f"{what}, dark"
        if keep:
            await page.screenshot(path=ARTIFACTS / f"page-{what}-dark-{self.name}.png")
        await page.emulate_media(color_scheme="light")


async def unfold(tab: Shown, part: str) -> None:
    """Open everything that is folded away there."""
    await tab.page.locator(f"{part} details:not([open]) > summary:visible").evaluate_all(
        "all => all.forEach((summary) => summary.click())"
    )


@pytest.mark.parametrize("width", [1440, 360])
async def test_axe_finds_nothing(
    open_page: OpenPage, service: RunningService, held: HeldModel, width: int
) -> None:
    """No part of the page breaks a rule of WCAG 2.2, A or AA: light, dark, wide, narrow."""
    if not AXE.is_file():
        pytest.fail("Run scripts/ensure-node, or leave these tests out: make test NODE=0.")
    tab = await open_page(
        service, viewport={"width": width, "height": 800}, reduced_motion="reduce"
    )
    ARTIFACTS.mkdir(exist_ok=True)
    page, inspector = tab.page, Inspector(tab, str(width))
    await inspector.look("body", "empty")
    for recipe in ("Evaluate", "Break down", "Reason", "Generate"):
        await page.get_by_text(recipe, exact=True).click()
        await unfold(tab, "#composer")
        await inspector.look("#composer", f"form-{recipe}")
    held.allow(20)
    await (await tab.run("How do returns work?")).says(first(20))
    await inspector.look("body", "running")
    await tab.card("How do returns work?").act("events")
    for name in ("Events", "Request", "SSE", "Snapshot"):
        await page.get_by_role("tab", name=name).click()
        await inspector.look("#drawer", f"drawer-{name}")
    await page.keyboard.press("Escape")
    await tab.card("How do returns work?").act("cancel")
    await tab.card("How do returns work?").ends("cancelled")
    await inspector.look("#cards", "cancelled")
    for name in PANELS:
        panel = await tab.panel(name)
        await expect(panel.locator("li, figure, tbody tr").first).to_be_visible()
        if name == "runs":
            await panel.get_by_role("button", name="Older runs").click()
            await expect(panel.locator(".past .entry:visible")).to_have_count(1)
        await unfold(tab, f"#{name}")
        await inspector.look(f"#{name}", name, keep=True)
        if name == "runs":
            await panel.locator(".past").get_by_role("button", name="Open").click()
            await expect(tab.cards).to_have_count(2)
            await expect(tab.cards.first.locator(".card-title")).not_to_be_empty()
            await unfold(tab, "#cards")
            await inspector.look("#cards", "past", keep=True)
        await page.keyboard.press("Escape")
    await page.evaluate(
        "async () => (await import('/static/service.js')).service"
        ".dispatchEvent(new Event('unauthenticated'))"
    )
    await inspector.look("#sign-in", "sign-in", keep=True)


async def test_panels_are_used_by_keyboard(open_page: OpenPage, service: RunningService) -> None:
    """Each opens with Enter, keeps the focus inside, shows where it is, and gives it back."""
    tab = await open_page(service)
    page = tab.page
    for name in PANELS:
        panel = await tab.panel(name)
        await expect(panel.locator("li, figure, tbody tr").first).to_be_visible()
        reached = set()
        for _ in range(12):
            await page.keyboard.press("Tab")
            reached.add(await page.evaluate(FOCUSED, f"#{name}"))
        assert "outside" not in reached, name
        assert "unseen" not in reached, name
        assert len(reached) > 1, name
        await page.keyboard.press("Escape")
        await expect(page.locator(f"#{name}-open")).to_be_focused()


FOCUSED: Final = """(part) => {
  const element = document.activeElement;
  if (element === document.body) return "browser";
  if (!element.closest(part)) return "outside";
  const { outlineStyle, outlineWidth } = getComputedStyle(element);
  const shown = element.matches("label *")
    ? getComputedStyle(element.closest("label")).outlineStyle : "none";
  const seen = outlineStyle !== "none" && outlineWidth !== "0px" || shown !== "none";
  return seen ? element.outerHTML : "unseen";
}"""


async def test_the_page_can_be_used_at_200_percent(
    open_page: OpenPage, service: RunningService, held: HeldModel
) -> None:
    """On a screen of 1280 by 720 that is zoomed to 200 % all is there; nothing moves sideways."""
    tab = await open_page(service, viewport={"width": 640, "height": 360}, device_scale_factor=2)
    held.free()
    card = await tab.run("How do returns work?")
    await card.ends("completed")
    assert await overflow(tab) == (0, 0)
    ARTIFACTS.mkdir(exist_ok=True)
    await tab.page.screenshot(path=ARTIFACTS / "page-zoomed.png")
    for name in PANELS:
        panel = await tab.panel(name)
        await expect(panel.locator(f"#{name}-close")).to_be_in_viewport(ratio=1)
        await expect(panel.locator("li, figure, tbody tr").first).to_be_in_viewport()
        assert (await overflow(tab))[0] == 0, name
        await tab.page.screenshot(path=ARTIFACTS / f"page-zoomed-{name}.png")
        await tab.page.keyboard.press("Escape")
