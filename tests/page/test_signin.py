"""Where keys are asked for the page asks for one, and keeps it to itself."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from llm_stream.access.clientfile import ClientRecord, editing, now
from llm_stream.access.clientkey import new_key
from llm_stream.testing import ScriptedModel

from ..conftest import StartService
from .conftest import Shown, in_one_loop

pytestmark = pytest.mark.browser

STORES = "[JSON.stringify({...sessionStorage}), JSON.stringify({...localStorage}), document.cookie]"


@in_one_loop
async def locked(
    browser: Browser, start_service: StartService, tmp_path: Path, key: str
) -> AsyncIterator[Shown]:
    """A tab before a service that asks for keys."""
    service = await start_service(
        ScriptedModel("quick"), auth={"clients_file": str(tmp_path / "clients.toml")}
    )
    context = await browser.new_context()
    tab = Shown(await context.new_page(), service.url)
    await tab.page.goto(service.url)
    yield tab
    await context.close()


async def sign_in(tab: Shown, key: str) -> None:
    """Give a key to the dialog that asks for one."""
    await expect(tab.page.locator("#sign-in")).to_be_visible()
    await tab.page.get_by_label("Client key").fill(key)
    await tab.page.keyboard.press("Enter")


async def test_a_key_opens_the_page_and_stays_in_the_tab(locked: Shown, key: str) -> None:
    """A wrong key is told; the right one opens everything, and only sessionStorage has it."""
    await sign_in(locked, new_key().text)
    dialog = locked.page.locator("#sign-in")
    await expect(dialog.get_by_role("alert")).to_contain_text("does not know this key")
    await expect(locked.page.get_by_label("Client key")).to_be_focused()
    await sign_in(locked, key)
    await expect(dialog).to_be_hidden()
    await locked.ready()
    card = await locked.run("How do returns work?")
    await card.ends("completed")
    session, local, cookies = await locked.page.evaluate(STORES)
    assert key in session
    assert key not in local + cookies

    await card.act("events")
    await locked.page.get_by_role("tab", name="Request").click()
    shown = await locked.page.locator("#panel-request").inner_text()
    assert "Bearer $LLM_STREAM_KEY" in shown
    assert key not in await locked.page.content()
    await locked.page.reload()
    await locked.ready()
    await locked.card("How do returns work?").ends("completed")
    await expect(dialog).to_be_hidden()


async def test_signing_out_forgets_the_key_and_clears_the_page(locked: Shown, key: str) -> None:
    """Nothing of who was signed in is left: no key, no runs; the page asks for a key again."""
    await sign_in(locked, key)
    await locked.ready()
    await (await locked.run("How do returns work?")).ends("completed")
    await locked.page.get_by_role("button", name="Sign out").click()

    await expect(locked.page.locator("#sign-in")).to_be_visible()
    await expect(locked.cards).to_have_count(0)
    assert (await locked.page.evaluate(STORES))[0] in {"{}", '{"llm-stream.runs":"[]"}'}


async def test_a_key_that_is_revoked_is_asked_for_again(
    locked: Shown, key: str, tmp_path: Path
) -> None:
    """When a key does not hold any more the page says so; another client's begins anew."""
    await sign_in(locked, key)
    await locked.ready()
    await (await locked.run("How do returns work?")).ends("completed")
    other = new_key()
    with editing(tmp_path / "clients.toml") as clients:
        clients.clear()
        clients[other.id] = ClientRecord(name="page", hash=other.hash, created_at=now())

    await expect(locked.page.locator("#sign-why")).to_have_text(re.compile("any more"))
    async with locked.page.expect_event("load"):
        await sign_in(locked, other.text)
    await locked.ready()
    await expect(locked.cards).to_have_count(0)


async def test_who_leaves_the_dialog_is_not_asked_again(locked: Shown) -> None:
    """Not by a refusal either that comes before the browser has told of the leaving."""
    await expect(locked.page.locator("#sign-in")).to_be_visible()
    await locked.page.evaluate(
        """async () => {
          const { service } = await import('/static/service.js');
          document.getElementById('sign-in').close();
          service.dispatchEvent(new Event('unauthenticated'));
        }"""
    )

    await expect(locked.page.locator("#sign-in")).to_be_hidden()


async def test_without_a_key_the_page_can_be_looked_at(locked: Shown, key: str) -> None:
    """The dialog can be left; signing in is then a button in the status bar."""
    await expect(locked.page.locator("#sign-in")).to_be_visible()
    await locked.page.keyboard.press("Escape")
    await expect(locked.page.locator("#connection-words")).to_contain_text("sign in")
    panel = await locked.panel("runs")
    await expect(panel.get_by_role("alert")).to_contain_text("client key")
    await expect(locked.page.locator("#sign-in")).to_be_hidden()
    await locked.page.keyboard.press("Escape")
    await locked.page.get_by_role("button", name="Sign in").click()
    await sign_in(locked, key)

    await locked.ready()
