"""How the page looks and what it is made of."""

import re
from pathlib import Path
from typing import Literal

import pytest
from playwright.async_api import expect

from llm_stream.testing.service import RunningService

from .conftest import ARTIFACTS, HeldModel, OpenPage, Shown, first

Scheme = Literal["light", "dark"]
STATIC = Path(__file__).parent.parent.parent / "static"


async def fill(tab: Shown, held: HeldModel) -> None:
    """Put a run that goes on, a cancelled one and a completed one on the page."""
    fold = tab.page.locator("#composer-fold")
    for prompt, model in (("How do returns work?", ""), ("Say hello.", "fast"), ("Prices?", "")):
        if await fold.is_visible() and await fold.get_attribute("aria-expanded") == "false":
            await fold.click()
        card = await tab.run(prompt, model)
        await card.run_id()
    await tab.card("Prices?").act("cancel")
    await tab.card("Prices?").ends("cancelled")
    held.allow(20)
    await tab.card("How do returns work?").says(first(20))


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_wide(
    open_page: OpenPage, shop: RunningService, held: HeldModel, scheme: Scheme
) -> None:
    """On a wide screen form, cards and status are seen at once; nothing scrolls the frame."""
    tab = await open_page(shop, color_scheme=scheme, viewport={"width": 1440, "height": 900})
    await fill(tab, held)
    await tab.card("How do returns work?").act("events")
    await expect(tab.page.locator(".rows .row").first).to_be_visible()
    ARTIFACTS.mkdir(exist_ok=True)
    await tab.page.screenshot(path=ARTIFACTS / f"page-{scheme}.png")

    for part in ("#composer", "#cards", "#status", "#drawer"):
        await expect(tab.page.locator(part)).to_be_in_viewport()
    assert await overflow(tab) == (0, 0)
    ground = await tab.page.evaluate("getComputedStyle(document.body).backgroundColor")
    lightness = sum(int(part) for part in re.findall(r"\d+", ground)[:3]) / 3
    assert (lightness > 128) == (scheme == "light")


@pytest.mark.browser
async def test_narrow(open_page: OpenPage, shop: RunningService, held: HeldModel) -> None:
    """At 360 px nothing sticks out to the side, and the form makes room for the runs."""
    tab = await open_page(shop, viewport={"width": 360, "height": 740}, has_touch=True)
    assert await overflow(tab) == (0, 0)
    await fill(tab, held)
    await expect(tab.page.locator("#composer")).to_be_hidden()
    await expect(tab.card("Prices?").element).to_be_in_viewport()
    ARTIFACTS.mkdir(exist_ok=True)
    await tab.page.screenshot(path=ARTIFACTS / "page-narrow.png")
    assert await overflow(tab) == (0, 0)

    await tab.card("How do returns work?").act("events")
    await expect(tab.page.locator("#drawer")).to_be_in_viewport()
    assert await overflow(tab) == (0, 0)


async def overflow(tab: Shown) -> tuple[int, int]:
    """By how many pixels the content is wider and higher than the window."""
    wide, high = await tab.page.evaluate(
        "() => [document.documentElement.scrollWidth - innerWidth,"
        " document.documentElement.scrollHeight - innerHeight]"
    )
    return wide, high


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_text_has_enough_contrast(
    open_page: OpenPage, shop: RunningService, held: HeldModel, scheme: Scheme
) -> None:
    """Every text on the page has a contrast of 4.5 to its ground (WCAG 2.2, AA)."""
    tab = await open_page(shop, color_scheme=scheme)
    await fill(tab, held)
    await tab.card("How do returns work?").act("events")

    assert await tab.page.evaluate(FAINT) == []


FAINT = """() => {
  const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b]
    .map((part) => part / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    .reduce((sum, part, place) => sum + part * [0.2126, 0.7152, 0.0722][place], 0);
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = rgb(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const faint = [];
  for (const element of document.body.querySelectorAll("*")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || !element.checkVisibility() || element.matches(":disabled, :disabled *")) continue;
    const [a, b] = [light(rgb(getComputedStyle(element).color)), light(ground(element))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const name = element.className || element.tagName;
    if (contrast < 4.5) faint.push(`${name}: ${contrast.toFixed(2)}`);
  }
  return faint;
}"""


def test_the_page_needs_nothing_from_elsewhere() -> None:
    """No file of the page names another host, and none has scripts or styles inline."""
    known = ("http://www.w3.org/2000/svg", "http://127.0.0.1:8080")  # the client's, in Node
    for path in STATIC.rglob("*.*"):
        text = path.read_text("utf-8")
        for address in known:
            text = text.replace(address, "")
        assert not re.search(r"https?://", text), path
        assert not re.search(r"\son[a-z]+=\"|<style|\sstyle=|<script(?![^>]*\bsrc=)", text), path
        assert "innerHTML" not in text, path


def test_modules_are_short() -> None:
    """No module or style sheet of the page is longer than 250 lines."""
    lengths = {path: len(path.read_text("utf-8").splitlines()) for path in STATIC.rglob("*.*")}

    assert {path.name: lines for path, lines in lengths.items() if lines > 250} == {}
