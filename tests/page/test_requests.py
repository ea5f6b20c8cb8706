"""What the page has asked, copied as programs that ask the same."""

import asyncio
import sys

import aiohttp
import pytest
from playwright.async_api import expect

from ..conftest import StartService
from ..wire import start_async
from .conftest import TEXT, HeldModel, OpenPage, Shown, in_one_loop

pytestmark = pytest.mark.browser

KINDS = (
    "POST /v1/generate", "POST /v1/runs/", "GET /v1/runs/", "GET /v1/runs?", "GET /v1/models",
    "GET /v1/templates", "GET /v1/usage", "GET /v1/cache?", "DELETE /v1/cache/",
    "POST /v1/cache/invalidate", "GET /metrics",
)  # fmt: skip
"""How each kind of request begins that a person can make the page make."""


@in_one_loop
async def asked(
    open_page: OpenPage,
    start_service: StartService,
    held: HeldModel,
    http: aiohttp.ClientSession,
) -> Shown:
    """A page that has asked everything it can; the requests are open."""
    service = await start_service(held, history={"enabled": True}, models={"default": "held"})
    run, _ = await start_async(http, service.url, prompt="Wanted by nobody?")
    tab = await open_page(service)
    panel = await tab.panel("runs")
    await panel.get_by_role("button", name="Cancel").click()
    await expect(panel.locator(f"[data-run={run}]")).to_have_attribute("data-state", "cancelled")
    await tab.page.keyboard.press("Escape")
    held.free()
    prompt = 'What\'s "5 %" of 日本?\n\\n stays.'
    await tab.page.fill("[data-field=prompt]", prompt)
    await tab.page.click("#run")
    await expect(tab.cards.first).to_have_attribute("data-state", "completed")
    await tab.cards.first.locator("[data-act=events]").click()
    await tab.page.get_by_role("tab", name="Snapshot").click()
    for name in ("metrics", "usage"):
        await tab.panel(name)
        await tab.page.keyboard.press("Escape")
    cache = await tab.panel("cache")
    await cache.locator("[data-act=drop]").click()
    await expect(cache.locator("#cache-told")).to_contain_text("Dropped")
    await cache.locator("#cache-invalidate").click()
    await expect(cache.locator("#cache-told")).to_contain_text("Dropped 0 entries")
    await tab.page.keyboard.press("Escape")
    await tab.panel("requests")
    return tab


async def programs(tab: Shown, language: str) -> dict[str, str]:
    """The newest request of each kind as that language has it."""
    panel = tab.page.locator("#requests")
    found = {}
    for kind in KINDS:
        await panel.locator(".asked button", has_text=kind).first.click()
        found[kind] = await panel.locator(f"[data-snippet={language}] pre").inner_text()
    return found


async def printed(*command: str) -> str:
    """What a program prints; it has to end well."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, error = await process.communicate()
    assert process.returncode == 0, error.decode()
    return out.decode()


@pytest.mark.slow
async def test_every_request_is_copied_as_a_program_that_runs(asked: Shown) -> None:
    """Each kind runs as curl, as Python and as JavaScript, and gets what the page has got."""
    shell = await programs(asked, "curl")
    curl = "".join(text.replace("curl ", "curl -sSf ", 1) for text in shell.values())
    said = await printed("bash", "-ec", curl)
    assert said.count('"type":"text.delta"') == 60
    assert '"dropped":0' in said
    assert "llm_stream_runs_active" in said

    python = await programs(asked, "Python")
    everything = "\n".join(f"exec({text!r})" for text in python.values())
    said = await printed(sys.executable, "-X", "utf8", "-c", everything)
    assert said.startswith(TEXT)
    assert "'state': 'cancelled'" in said
    assert "llm_stream_runs_active" in said

    logged: list[str] = []
    asked.page.on("console", lambda message: logged.append(message.text))
    for text in (await programs(asked, "JavaScript")).values():
        await asked.page.evaluate(f"async () => {{ {text} }}")
    assert logged[0] == TEXT
    assert len(logged) == len(KINDS)
