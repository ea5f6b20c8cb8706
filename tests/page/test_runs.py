"""Starting, watching and ending runs on the page."""

import re

import pytest
from playwright.async_api import expect

from llm_stream.testing import Fault, Script, ScriptedModel

from ..conftest import StartService
from .conftest import TEXT, HeldModel, OpenPage, Shown, first

pytestmark = pytest.mark.browser


async def test_tokens_appear_as_they_come(tab: Shown, held: HeldModel) -> None:
    """Each piece the model has said is on the page before it says the next."""
    card = await tab.run("List the fields of an order.")
    for more, chunks in ((1, 1), (1, 2), (5, 7)):
        held.allow(more)
        await card.says(first(chunks))

    await expect(card.element).to_have_attribute("data-state", "running")


async def test_a_completed_run_is_checked_and_counted(tab: Shown, held: HeldModel) -> None:
    """At its end a card has the whole text, its hash compared, and the model's own count."""
    held.free()
    card = await tab.run("List the fields of an order.")

    await card.ends("completed")
    await expect(card.ending).to_contain_text("Text checked (SHA-256)")
    assert await card.text() == TEXT
    await expect(card.element.locator("[data-number=tokens]")).to_have_text("60")
    await expect(card.element.locator("[data-number=first]")).to_have_text(re.compile("ms|s"))
    await expect(card.element.locator("[data-act=cancel]")).to_be_hidden()


async def test_runs_stream_side_by_side(tab: Shown, held: HeldModel) -> None:
    """A run that waits for its model does not hold up another one."""
    slow = await tab.run("How do returns work?")
    quick = await tab.run("Say hello.", model="fast")

    await quick.ends("completed")
    assert await quick.text() == "Hello, world."
    await expect(tab.status("active")).to_have_text("1")
    held.free()
    await slow.says(TEXT)


async def test_cancel_ends_the_run(tab: Shown, held: HeldModel) -> None:
    """Cancelling closes the model's side and says how much had come."""
    card = await tab.run("How do returns work?")
    held.allow(3)
    await card.says(first(3))
    await card.act("cancel")

    await card.ends("cancelled")
    await expect(card.ending).to_contain_text("Somebody asked for it")
    await expect(card.ending).to_contain_text(f"{len(first(3))} characters had come")
    assert held.calls[0].closed.is_set()


async def test_a_failed_run_says_what_helps(
    open_page: OpenPage, start_service: StartService
) -> None:
    """A failure after some text keeps the text, names the error and offers to try again."""
    fault = Fault(at=2, error=ConnectionError("connection reset"))
    service = await start_service(ScriptedModel("broken", Script(fault=fault), Script()))
    tab = await open_page(service)
    card = await tab.run("Why were 312 rows refused?", model="broken")

    await card.ends("failed")
    assert await card.text() == "Hello, "
    await expect(card.ending).to_contain_text("connection reset. Trying again may help.")
    await expect(card.ending.locator("a")).to_have_attribute("href", "/docs/errors#upstream_failed")
    await card.act("again")
    again = tab.card("Why were 312 rows refused?")
    await again.ends("completed")
    await expect(again.chips).to_contain_text("cache bypassed")


async def test_a_refused_start_names_the_field(tab: Shown) -> None:
    """A request the service refuses is a card that was never started, with the field at fault."""
    await tab.page.click("text=Options")
    await tab.page.fill("[name='option.temperature']", "9")
    card = await tab.run("How do returns work?")

    await card.ends("failed")
    await expect(card.ending).to_contain_text("Not started.")
    await expect(card.ending).to_contain_text("options.temperature")
    await expect(card.ending).to_contain_text("will fail again")


async def test_a_template_is_filled_in_by_its_fields(tab: Shown, held: HeldModel) -> None:
    """The variables of a template are fields; one without a default has to be filled in."""
    await tab.page.select_option("[data-field=template]", "next-step")
    await tab.page.fill("[data-field=prompt]", "A web shop for lamps.")
    await tab.page.click("#run")
    await expect(tab.page.locator("#composer-complaint")).to_contain_text("stage")
    await expect(tab.page.locator("[name='variable.stage']")).to_be_focused()
    await tab.page.fill("[name='variable.stage']", "requirements gathering")
    held.free()
    await tab.page.click("#run")
    card = tab.card("A web shop for lamps.")

    await card.ends("completed")
    await expect(card.chips).to_contain_text("next-step")
    assert "Stage: requirements gathering" in held.calls[0].prompt
    assert "Open tasks: not listed" in held.calls[0].prompt


async def test_an_example_can_be_run_as_it_is(tab: Shown, held: HeldModel) -> None:
    """An example fills in a form that the service accepts."""
    held.free()
    for name in ("API", "Web shop: next step", "Data import: summary"):
        await tab.page.get_by_role("button", name=name).click()
        await tab.page.click("#run")

    await expect(tab.page.locator(".card[data-state=completed]")).to_have_count(3)


async def test_reasoning_stands_folded_above_the_answer(
    open_page: OpenPage, start_service: StartService
) -> None:
    """Reasoning is no part of the answer; it can be unfolded."""
    thinking = ScriptedModel("thinking", Script(reasoning=("Small shop, ", "so simple.")))
    tab = await open_page(await start_service(thinking))
    card = await tab.run("How do returns work?", model="thinking")

    await card.ends("completed")
    assert await card.text() == "Hello, world."
    reasoning = card.element.locator(".reasoning")
    await expect(reasoning.locator(".passage")).to_be_hidden()
    await reasoning.locator("summary").click()
    await expect(reasoning.locator(".passage")).to_have_text("Small shop, so simple.")


async def test_the_keyboard_is_enough(tab: Shown, held: HeldModel) -> None:
    """A run is started, its events are looked at and it is cancelled without a mouse."""
    keyboard = tab.page.keyboard
    await tab.page.locator("[data-field=prompt]").focus()
    await keyboard.type("How do returns work?")
    await keyboard.press("Control+Enter")
    card = tab.card("How do returns work?")
    held.allow(2)
    await card.says(first(2))

    await card.element.locator("[data-act=events]").focus()
    await keyboard.press("Enter")
    await expect(tab.page.get_by_role("tab", name="Events")).to_be_focused()
    await keyboard.press("ArrowRight")
    await expect(tab.page.get_by_role("tab", name="Request")).to_be_focused()
    await keyboard.press("Escape")
    await expect(card.element.locator("[data-act=events]")).to_be_focused()
    await card.element.locator("[data-act=cancel]").focus()
    await keyboard.press("Enter")
    await card.ends("cancelled")
    await expect(tab.page.locator("#announcer")).to_have_text("How do returns work?: cancelled")


async def test_the_end_is_followed_unless_the_reader_scrolls_up(
    open_page: OpenPage, start_service: StartService
) -> None:
    """A growing text shows its end; a reader who scrolls up stays where they are."""
    lines = HeldModel("lines", Script(chunks=tuple(f"Row {n} refused.\n" for n in range(200))))
    tab = await open_page(await start_service(lines))
    card = await tab.run("Which rows were refused?", model="lines")
    body = card.element.locator(".card-body")
    lines.allow(100)
    await expect(card.answer).to_contain_text("Row 99 refused.")
    at_end = "body => body.scrollHeight - body.scrollTop - body.clientHeight < 2"
    assert await body.evaluate(at_end)

    await body.evaluate("body => { body.scrollTop -= 600 }")
    follow = card.element.locator("[data-act=end]")
    await expect(follow).to_be_visible()
    top = await body.evaluate("body => body.scrollTop")
    lines.free()
    await card.ends("completed")
    assert await body.evaluate("body => body.scrollTop") == top
    await follow.click()
    await expect(follow).to_be_hidden()
    assert await body.evaluate(at_end)


async def test_an_error_of_the_page_is_shown(tab: Shown) -> None:
    """What goes wrong in the page itself is told on the page, and can be dismissed."""
    await tab.page.evaluate("() => { setTimeout(() => { throw new Error('out of paper') }) }")
    notices = tab.page.locator("#notices")
    await expect(notices).to_contain_text("out of paper")
    assert tab.complaints == ["out of paper"]
    tab.complaints.clear()
    await notices.get_by_role("button", name="Dismiss").click()

    await expect(notices).to_be_empty()


async def test_model_text_is_never_markup(open_page: OpenPage, start_service: StartService) -> None:
    """What looks like HTML in an answer is text on the page."""
    hostile = "<img src=x onerror=alert(1)><b>bold</b>"
    tab = await open_page(await start_service(ScriptedModel("h", Script(chunks=(hostile,)))))
    card = await tab.run("Say something in HTML.", model="h")

    await card.says(hostile)
    await expect(card.answer.locator("img, b")).to_have_count(0)
