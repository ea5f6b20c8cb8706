"""Answers that are more than text: verdicts, plans and steps as they come."""

from typing import Any

import pytest
from playwright.async_api import expect

from llm_stream.testing import Fault, Script, ScriptedModel

from ..conftest import StartService
from ..contract.test_recipes import GOOD, judge, judgement, plan, says, task
from .conftest import ARTIFACTS, OpenPage, Shown

pytestmark = pytest.mark.browser

DOCUMENT = "The shop has a cart.\nIt takes cards and cash."
CRITERIA = "! The cart is specified\nPayment is agreed\nMails are specified"


async def compose(tab: Shown, recipe: str, **fields: str) -> Any:
    """Choose a recipe, fill in its fields, run it; the card's element."""
    await tab.page.get_by_label(recipe, exact=True).check()
    for name, value in fields.items():
        field = tab.page.locator(f"#recipe-fields [data-field={name}]")
        if name == "strategy":
            await field.select_option(value)
        else:
            await field.fill(value)
    await tab.page.click("#run")
    return tab.page.locator(".card").first


async def test_the_form_says_which_recipe_it_is_of(
    open_page: OpenPage, start_service: StartService
) -> None:
    """An example of another recipe chooses it, and one can go back to the recipe before."""
    tab = await open_page(await start_service())
    await tab.page.get_by_role("button", name="Shop: build or buy?").click()
    await expect(tab.page.get_by_label("Reason", exact=True)).to_be_checked()
    await tab.page.get_by_label("Generate", exact=True).check()

    await expect(tab.page.locator("[data-field=prompt]")).to_be_visible()


async def test_a_recipe_that_has_nothing_yet_says_that_it_waits(
    open_page: OpenPage, start_service: StartService, model: ScriptedModel
) -> None:
    """Until the first piece of a plan there is no empty frame of one, but that it is waited for."""
    model.scripts = [Script(fault=Fault(stall=True))]
    tab = await open_page(await start_service())
    card = await compose(tab, "Break down", task="Build a shop.")

    await expect(card).to_have_attribute("data-state", "running")
    await expect(card.locator(".answer")).to_have_attribute(
        "data-wait", "Waiting for the first task"
    )
    await expect(card.locator(".answer")).to_be_visible()
    await expect(card.locator(".plan")).to_be_hidden()


async def test_criteria_appear_one_by_one_with_their_evidence(
    open_page: OpenPage, start_service: StartService, model: ScriptedModel
) -> None:
    """A judged criterion is shown while others are still open; its quote is marked in the text."""
    model.respond = judge(GOOD | {"Mails": Script(fault=Fault(stall=True))})
    tab = await open_page(await start_service())
    card = await compose(tab, "Evaluate", stage_name="design", criteria=CRITERIA, document=DOCUMENT)

    await expect(card.locator(".criteria li")).to_have_count(2)
    await expect(card).to_have_attribute("data-state", "running")
    first = card.locator(".criteria li").first
    await expect(first.locator(".rating")).to_have_text("met")
    await expect(first.locator("q")).to_have_text("has a cart")
    mark = card.locator(".documents mark")
    await expect(mark).to_have_text("has a cart")
    await first.hover()
    await expect(mark).to_have_class("lit")


async def test_a_verdict_shows_its_arithmetic(
    open_page: OpenPage, start_service: StartService, model: ScriptedModel
) -> None:
    """At the end: the verdict, how the score came about, and how many quotes were dropped."""
    model.respond = judge(GOOD)
    tab = await open_page(await start_service(), viewport={"width": 1440, "height": 900})
    card = await compose(tab, "Evaluate", stage_name="design", criteria=CRITERIA, document=DOCUMENT)

    summary = card.locator(".judged .sum")
    await expect(summary).to_contain_text(
        "insufficient (1 \u00d7 1 + 1 \u00d7 0.5 + 1 \u00d7 0) / 3 = 0.50"
    )
    await expect(summary).to_contain_text("1 quote dropped")
    await expect(card.locator(".gap")).to_contain_text("Missing: mails")
    await card.locator("[data-act=wide]").click()
    await tab.page.screenshot(path=ARTIFACTS / "page-verdict.png")


SHOP = (
    task("design"),
    task("cart", "design", effort={"low": 2, "likely": 3, "high": 5, "unit": "hours"}),
    task("texts", "design"),
    task("launch", "cart", "texts"),
)


async def test_a_plan_is_drawn_while_it_streams(
    open_page: OpenPage, start_service: StartService, model: ScriptedModel
) -> None:
    """Nodes join the graph as tasks come, before the model has ended."""
    text = "".join(says(plan(*SHOP)).chunks)
    cut = text.index('"texts"')
    model.scripts = [Script(chunks=(text[:cut], text[cut:]), fault=Fault(at=1, stall=True))]
    tab = await open_page(await start_service())
    card = await compose(tab, "Break down", task="Build a small web shop")

    await expect(card.locator(".graph .node")).to_have_count(2)
    await expect(card.locator(".graph .node.ready")).to_have_count(1)
    await expect(card).to_have_attribute("data-state", "running")


async def test_a_finished_plan_marks_its_critical_path(
    open_page: OpenPage, start_service: StartService, model: ScriptedModel
) -> None:
    """The longest way is drawn once it is known, with times below and a table to read."""
    model.scripts = [says(plan(*SHOP))]
    tab = await open_page(await start_service(), viewport={"width": 1440, "height": 900})
    card = await compose(tab, "Break down", task="Build a small web shop")

    await expect(card.locator(".plan .sum")).to_contain_text("design → cart → launch")
    await expect(card.locator(".node.critical")).to_have_count(3)
    await expect(card.locator(".edge.critical")).to_have_count(2)
    await expect(card.locator(".bar")).to_have_count(4)
    await card.locator(".plan summary").click()
    await expect(card.locator(".plan tbody tr")).to_have_count(4)
    await card.locator("[data-act=wide]").click()
    await tab.page.screenshot(path=ARTIFACTS / "page-plan.png")


async def test_a_void_plan_is_drawn_anew(
    open_page: OpenPage, start_service: StartService, model: ScriptedModel
) -> None:
    """When the model's answer was void, its tasks leave the graph."""
    bad = plan(task("cart"), task("pay"))
    del bad["open_questions"]
    model.scripts = [says(bad), says(plan(task("shop")))]
    tab = await open_page(await start_service())
    card = await compose(tab, "Break down", task="Build a small web shop")

    await expect(card).to_have_attribute("data-state", "completed")
    await expect(card.locator(".graph .node")).to_have_count(1)
    await expect(card.locator(".ending")).to_contain_text("Text checked")


async def test_steps_stream_above_the_answer(
    open_page: OpenPage, start_service: StartService, model: ScriptedModel
) -> None:
    """Draft and critique are steps, the revision is the answer."""
    model.scripts = [Script(chunks=(text,)) for text in ("my draft", "too short", "better")]
    tab = await open_page(await start_service())
    card = await compose(tab, "Reason", question="Build or buy?", strategy="critique")

    await expect(card).to_have_attribute("data-state", "completed")
    await expect(card.locator(".steps section .passage")).to_have_text(["my draft", "too short"])
    await expect(card.locator(".answer")).to_have_text("better")
    await expect(card.locator(".ending")).to_contain_text("Text checked")


async def test_votes_stand_side_by_side(
    open_page: OpenPage, start_service: StartService, model: ScriptedModel
) -> None:
    """Three votes in a row, and how many agree."""
    votes = iter(["Answer: buy", "Answer: build", "Answer: buy"])
    model.respond = lambda _call: Script(chunks=(next(votes),))
    tab = await open_page(await start_service())
    card = await compose(tab, "Reason", question="Build or buy?", strategy="vote", samples="3")

    await expect(card.locator(".steps.votes section")).to_have_count(3)
    await expect(card.locator(".steps .sum")).to_contain_text("67 % agree")


async def test_a_reload_shows_the_verdict_again(
    open_page: OpenPage, start_service: StartService, model: ScriptedModel
) -> None:
    """After a reload the criteria are read from the log, whatever the page had kept."""
    model.respond = lambda _call: says(judgement("met", "has a cart"))
    tab = await open_page(await start_service())
    await compose(tab, "Evaluate", stage_name="design", criteria=CRITERIA, document=DOCUMENT)
    await expect(tab.page.locator(".criteria li")).to_have_count(3)
    await tab.page.reload()

    await expect(tab.page.locator(".criteria li")).to_have_count(3)
    await expect(tab.page.locator(".judged .sum")).to_contain_text("sufficient")
