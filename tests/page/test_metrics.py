"""Charts of what the service does: figures out of its metrics, asked for while they are seen."""

import json
import re
from functools import partial
from typing import Any

import aiohttp
import pytest
from playwright.async_api import Locator, Page, Route, expect

from llm_stream.testing.service import RunningService

from ..wire import start_async
from .conftest import HeldModel, Shown

pytestmark = pytest.mark.browser

AGAIN = "document.dispatchEvent(new Event('visibilitychange'))"
"""What a tab is told when it is looked at again: it asks at once."""

CLOSED = """(dialog) => ({
  closed: new Promise((done) => dialog.addEventListener("close", () => done(null), { once: true })),
})"""
"""Until when a panel has been told that it is closed; the promise is not awaited at once."""


def chart(panel: Locator, title: str) -> Locator:
    """The chart of that title."""
    return panel.locator("figure", has=panel.page.get_by_role("heading", name=title))


async def test_charts_show_what_happens(
    tab: Shown, shop: RunningService, held: HeldModel, http: aiohttp.ClientSession
) -> None:
    """Runs under way, answers out of the cache and connections are drawn, and said in words."""
    for _ in range(2):
        async with http.post(f"{shop.url}/v1/generate", json={"prompt": "1", "model": "fast"}):
            pass
    await start_async(http, shop.url, prompt="2")
    panel = await tab.panel("metrics")
    image = chart(panel, "Runs").get_by_role("img")
    said = "Runs over the last 5 minutes. Now: active 1, queued 0. Highest: 1."
    await expect(image).to_have_attribute("aria-label", said)
    await expect(chart(panel, "Connections").locator("dd").first).to_have_text("1")
    await expect(chart(panel, "Cache hits")).to_contain_text("since the start 1 of 3")

    held.allow(7)
    await tab.page.evaluate(AGAIN)
    await expect(chart(panel, "Tokens a second").locator("dd")).not_to_have_text("0")
    assert await image.locator(".line-0").get_attribute("d")
    await panel.get_by_text("The same as a table").click()
    await expect(panel.locator("thead th")).to_have_text([
        "at", "Tokens a second", "active", "queued", "p50", "p95", "Cache hits",
        "failed a minute", "cancelled", "sockets", "SSE",
    ])  # fmt: skip


async def test_nothing_is_asked_while_nobody_looks(tab: Shown) -> None:
    """A closed panel asks no more; opened again it goes on."""
    # The status bar asks by itself, once, a moment after the page is connected.
    gauge = tab.page.locator("#cache-open")
    await expect(gauge).to_have_attribute("title", re.compile(r"of \d+ requests$"))
    asked: list[str] = []
    tab.page.on("request", lambda request: asked.append(request.url))
    panel = await tab.panel("metrics")
    await expect(chart(panel, "Runs").locator("dd").first).to_have_text("0")
    # The browser closes a panel first, and says so to the page a moment later.
    told = await panel.evaluate_handle(CLOSED)
    await tab.page.keyboard.press("Escape")
    await told.evaluate("(told) => told.closed")
    asked.clear()
    await tab.page.evaluate(AGAIN)
    await tab.page.evaluate("new Promise((done) => setTimeout(done))")
    assert asked == []

    async with tab.page.expect_request("**/metrics"):
        await tab.panel("metrics")


async def test_figures_that_are_not_shown_are_told(tab: Shown) -> None:
    """Where a key must not read all of them, or they are off, the panel says so and has a rest."""
    for status, words in ((403, "scope “metrics”"), (404, "telemetry.metrics is off")):
        await tab.page.route("**/metrics", partial(Route.fulfill, status=status))
        panel = await tab.panel("metrics")
        await expect(panel.get_by_role("status")).to_contain_text(words)
        await expect(panel.locator("figure:visible h3")).to_have_text(
            ["Runs", "Cache hits", "Connections"]
        )
        await expect(chart(panel, "Connections").locator("dd").first).to_have_text("1")
        await tab.page.keyboard.press("Escape")
        await tab.page.unroute("**/metrics")
    tab.complaints.clear()  # the browser's own lines about 403 and 404


async def evaluated(modules: Page, program: str) -> Any:
    """What a program says that has the modules of the charts."""
    return await modules.evaluate(f"""async () => {{
      const {{ parse }} = await import("/static/wire/metrics.js");
      const {{ Trends, FAMILIES, quantile }} = await import("/static/view/trends.js");
      const {{ ceiling }} = await import("/static/view/chart.js");
      {program}
    }}""")


async def test_what_is_needed_is_read_of_the_text_format(modules: Page) -> None:
    """Labels with quotes, commas and braces are read; comments and other families are left."""
    text = '# HELP a A.\na{x="1",y="q\\"},{"} 2.5\nab 3\na_total 1e3 1700\na +Inf\n'
    program = f"return [...parse({json.dumps(text)}, new Set(['a', 'a_total']))];"
    found = await evaluated(modules, program)

    assert found == [
        ["a", [{"labels": {"x": "1", "y": 'q"},{'}, "value": 2.5},
               {"labels": {}, "value": float("inf")}]],
        ["a_total", [{"labels": {}, "value": 1000}]],
    ]  # fmt: skip


async def test_a_quantile_lies_in_its_bucket(modules: Page) -> None:
    """It is in proportion within the bucket, and the last bound where that has no end."""
    buckets = "new Map([[Infinity, 10], [0.1, 0], [0.5, 8], [1, 9]])"
    program = f"return [0.5, 0.85, 0.99].map((share) => quantile({buckets}, share));"

    assert await evaluated(modules, program) == pytest.approx([0.35, 0.75, 1])
    assert await evaluated(modules, "return quantile(new Map([[1, 0]]), 0.5);") is None


async def test_rates_begin_anew_with_another_process(modules: Page) -> None:
    """Counters are compared within one process only, and what nobody asked has no share."""
    program = """
      const trends = new Trends({ shortMs: 6_000, longMs: 30_000, gapMs: 8_000 });
      const reading = (start, chunks) => parse(
        `process_start_time_seconds ${start}\\nllm_stream_chunks_total ${chunks}\\n`, FAMILIES);
      const steps = [[0, 7, 100], [2_000, 7, 120], [4_000, 8, 3], [6_000, 8, 5], [20_000, 8, 9]];
      return steps.map(([at, start, chunks]) => {
        const { broken, values } = trends.add(reading(start, chunks), at);
        return [broken, values.pieces, values.hits];
      });"""

    assert await evaluated(modules, program) == [
        [True, None, None], [False, 10, None], [True, None, None], [False, 1, None],
        [True, None, None],
    ]  # fmt: skip


async def test_scales_end_at_round_numbers(modules: Page) -> None:
    """The top of a chart is the next 1, 2 or 5 with zeros."""
    program = "return [0.01, 0.3, 1, 4, 6, 20, 21].map(ceiling);"

    assert await evaluated(modules, program) == pytest.approx([0.01, 0.5, 1, 5, 10, 20, 50])
