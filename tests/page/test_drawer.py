"""The drawer: what there is to know about one run."""

import asyncio
import json
import sys
from typing import Any

import aiohttp
import pytest
from playwright.async_api import expect

from llm_stream.testing import Script, ScriptedModel
from llm_stream.testing.service import RunningService

from ..conftest import StartService
from .conftest import TEXT, HeldModel, OpenPage, Shown, first

pytestmark = pytest.mark.browser


async def test_raw_events_are_those_of_the_service(
    tab: Shown, held: HeldModel, shop: RunningService, http: aiohttp.ClientSession
) -> None:
    """Every event is listed with its cursor; the chosen one is shown whole."""
    held.free()
    card = await tab.run("How do returns work?")
    await card.ends("completed")
    await card.act("events")
    run = await card.run_id()
    async with http.get(f"{shop.url}/v1/runs/{run}/events?limit=1000") as response:
        events = (await response.json())["events"]

    rows = tab.page.locator(".rows .row")
    await expect(rows.last.locator("span").first).to_have_text(events[-1]["id"])
    await expect(tab.page.locator(".panel-bar .quiet").first).to_have_text(str(len(events)))
    await tab.page.locator(".rows").focus()
    await tab.page.keyboard.press("Home")
    detail = tab.page.locator(".event-detail")
    await expect(detail).to_contain_text("run.started")
    assert json.loads(await detail.inner_text()) == events[0]
    await tab.page.fill("[type=search]", "run.completed")
    await expect(rows).to_have_count(1)


async def test_a_long_list_holds_only_the_rows_that_are_seen(
    open_page: OpenPage, start_service: StartService
) -> None:
    """Of many thousand events a few dozen rows exist, at whichever place one looks."""
    count = 10_000
    talker = ScriptedModel("talker", Script(chunks=("x\n",) * count, burst=True))
    service = await start_service(talker, runs={"max_log_bytes": 64_000_000})
    tab = await open_page(service)
    card = await tab.run("List every row.", model="talker")
    await card.ends("completed")
    await card.act("events")
    rows = tab.page.locator(".rows .row")
    await expect(rows.last.locator("span").nth(2)).to_have_text("run.completed")
    assert await rows.count() < 100

    await tab.page.locator(".rows").evaluate("rows => { rows.scrollTop = 24 * 5000 }")
    await expect(rows.filter(has_text="1-5001")).to_be_visible()
    assert await rows.count() < 100


async def test_sse_shows_the_same_run(tab: Shown, held: HeldModel) -> None:
    """Read over SSE with `fetch`, the run has the very same events as over the socket."""
    card = await tab.run("How do returns work?")
    held.allow(10)
    await card.says(first(10))
    await card.act("sse")
    panel = tab.page.locator("#panel-sse")
    await expect(panel.locator(".answer")).to_have_js_property("textContent", first(10))
    held.free()

    await expect(panel.locator(".verdict")).to_contain_text("Byte for byte the same events")
    await expect(panel.locator(".answer")).to_have_js_property("textContent", TEXT)


async def test_the_python_request_runs(tab: Shown, held: HeldModel) -> None:
    """The request shown as Python is a program that prints the answer."""
    held.free()
    prompt = 'How do "returns" work? It\'s 50 % cheaper, 日本.\n\\n stays.'
    await tab.page.fill("[data-field=prompt]", prompt)
    await tab.page.click("#run")
    await tab.page.locator(".card [data-act=events]").click()
    await tab.page.get_by_role("tab", name="Request").click()
    program = await tab.page.locator("[data-way=start] [data-snippet=Python] pre").inner_text()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-X", "utf8", "-c", program, stdout=asyncio.subprocess.PIPE
    )
    printed, _ = await process.communicate()

    assert process.returncode == 0
    assert printed.decode() == TEXT
    assert {call.prompt for call in held.calls} == {prompt}


async def test_the_javascript_request_runs(tab: Shown, held: HeldModel) -> None:
    """The request shown as JavaScript is a program that logs the answer."""
    held.free()
    card = await tab.run("How do returns work?")
    await card.act("events")
    await tab.page.get_by_role("tab", name="Request").click()
    program = await tab.page.locator("[data-way=start] [data-snippet=JavaScript] pre").inner_text()
    logged: list[str] = []
    tab.page.on("console", lambda message: logged.append(message.text))
    await tab.page.evaluate(f"async () => {{ {program} }}")

    assert logged == [TEXT]


async def test_a_request_goes_back_into_the_form(tab: Shown, held: HeldModel) -> None:
    """The form can be filled with the request of a run, template and options included."""
    held.free()
    await tab.page.get_by_role("button", name="Data import: summary").click()
    await tab.page.click("text=Options")
    await tab.page.fill("[name='option.temperature']", "0.5")
    await tab.page.click("#run")
    await tab.page.get_by_role("button", name="API", exact=True).click()
    await tab.page.locator(".card [data-act=events]").click()
    await tab.page.get_by_role("tab", name="Request").click()
    await tab.page.get_by_role("button", name="Put into the form").click()

    await expect(tab.page.locator("[data-field=template]")).to_have_value("summarize")
    await expect(tab.page.locator("[name='variable.sentences']")).to_have_value("2")
    await expect(tab.page.locator("[name='option.temperature']")).to_have_value("0.5")


async def test_the_snapshot_is_what_the_service_says(tab: Shown, held: HeldModel) -> None:
    """The snapshot has the run's text as the service keeps it."""
    held.free()
    card = await tab.run("How do returns work?")
    await card.ends("completed")
    await card.act("events")
    await tab.page.get_by_role("tab", name="Snapshot").click()
    answer = tab.page.locator("#panel-snapshot pre")
    await expect(answer).to_contain_text('"state": "completed"')

    shown: dict[str, Any] = json.loads(await answer.inner_text())
    assert shown["text"] == TEXT
    assert shown["id"] == await card.run_id()
