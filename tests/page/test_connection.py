"""Lost connections, reloads and second readers: no character is lost and none comes twice."""

import asyncio
import json
import re
from typing import Any

import pytest
from playwright.async_api import Browser, WebSocketRoute, expect

from llm_stream.testing.service import RunningService

from ..conftest import StartService
from .conftest import TEXT, HeldModel, OpenPage, Shown, first, in_one_loop

pytestmark = pytest.mark.browser


async def test_a_dropped_connection_resumes(tab: Shown, held: HeldModel) -> None:
    """What the model says while the socket is cut comes afterwards, marked in the text."""
    card = await tab.run("How do returns work?")
    held.allow(10)
    await card.says(first(10))
    await tab.page.click("#drop")
    await expect(card.chips).to_contain_text("disconnected")
    await expect(tab.status("connection-words")).to_contain_text("dropped on purpose")
    held.free()

    await card.ends("completed")
    await expect(card.ending).to_contain_text("Text checked (SHA-256)")
    assert await card.text() == TEXT
    await expect(card.chips).to_contain_text("resumed at 1-11")
    await expect(card.element.locator(".seam")).to_have_attribute(
        "data-words", "resumed after 1-11"
    )
    await expect(tab.status("reconnects")).to_have_text("1")


async def test_many_streams_resume_in_one_frame(tab: Shown, held: HeldModel) -> None:
    """After a loss one subscribe names every open run and how far it was read."""
    sent: list[dict[str, Any]] = []
    tab.page.on(
        "websocket",
        lambda socket: socket.on("framesent", lambda text: sent.append(json.loads(text))),
    )
    cards = [await tab.run(f"Question {number}") for number in range(3)]
    for card in cards:
        await card.run_id()
    held.allow(6)
    await expect(tab.page.locator(".card[data-state=running]")).to_have_count(3)
    await tab.page.click("#drop")
    await expect(tab.status("connection")).to_have_attribute("data-state", "dropped")
    held.free()
    for card in cards:
        await card.ends("completed")
        assert await card.text() == TEXT

    (subscribe,) = [frame for frame in sent if frame["type"] == "subscribe"]
    assert {asked["run"] for asked in subscribe["streams"]} == {
        await card.run_id() for card in cards
    }


async def test_a_reload_shows_everything_again_and_goes_on(tab: Shown, held: HeldModel) -> None:
    """After a reload the text is there again, and the rest follows."""
    card = await tab.run("How do returns work?")
    held.allow(10)
    await card.says(first(10))
    await tab.page.reload()
    await card.says(first(10))
    await expect(card.chips).to_contain_text("reloaded at 1-11")
    held.free()

    await card.ends("completed")
    assert await card.text() == TEXT
    await expect(card.element.locator("[data-act=again]")).to_be_visible()


async def test_two_tabs_follow_one_run(
    tab: Shown, open_page: OpenPage, shop: RunningService, held: HeldModel
) -> None:
    """A tab that opens the link in mid-answer shows the same text, then and at the end."""
    card = await tab.run("How do returns work?")
    held.allow(10)
    await card.says(first(10))
    link = str(await card.element.locator("[data-part=tab]").get_attribute("href"))
    second = await open_page(shop, link)
    other = second.card("How do returns work?")
    await other.says(first(10))
    held.free()

    for shown in (card, other):
        await shown.ends("completed")
        assert await shown.text() == TEXT
    assert len(held.calls) == 1


async def test_equal_requests_share_a_run(tab: Shown, held: HeldModel) -> None:
    """The same request again joins the run under way; leaving it ends nobody else's."""
    await tab.run("How do returns work?")
    held.allow(4)
    await tab.card("How do returns work?").says(first(4))
    await tab.page.click("#run")
    cards = tab.page.locator(".card")
    await expect(cards).to_have_count(2)
    await expect(cards.first.locator(".chips")).to_contain_text("joined")
    await expect(cards.first.locator(".answer")).to_have_js_property("textContent", first(4))
    await cards.first.locator("[data-act=close]").click()
    held.free()

    await expect(cards).to_have_count(1)
    await tab.card("How do returns work?").ends("completed")
    assert len(held.calls) == 1


async def test_cancelling_a_shared_run_ends_only_ones_own_interest(
    tab: Shown, open_page: OpenPage, shop: RunningService, held: HeldModel
) -> None:
    """Who cancels a run that somebody else has asked for as well has left; the run goes on."""
    mine = await tab.run("How do returns work?")
    held.allow(4)
    await mine.says(first(4))
    other = await open_page(shop)
    theirs = await other.run("How do returns work?")
    await theirs.says(first(4))
    await mine.act("cancel")
    await mine.ends("left")
    await expect(mine.ending).to_contain_text("Others still want this run")
    held.free()

    await theirs.ends("completed")
    assert await theirs.text() == TEXT
    assert await mine.text() == first(4)


async def test_a_slow_reader_gets_everything_in_the_end(tab: Shown, held: HeldModel) -> None:
    """Throttled, the page holds events back and says how many; then it shows them all."""
    card = await tab.run("How do returns work?")
    held.allow(1)
    await card.says(first(1))
    await tab.page.click("#slow")
    held.free()
    await expect(tab.status("slow")).to_have_text(re.compile(r"\d+ held back"))
    assert await card.text() != TEXT
    await tab.page.click("#slow")

    await card.ends("completed")
    assert await card.text() == TEXT


async def test_an_expired_run_says_so(open_page: OpenPage, start_service: StartService) -> None:
    """A run that is no longer kept is told as expired, not shown as empty."""
    service = await start_service(runs={"retention_seconds": 3600, "retention_bytes": 1})
    tab = await open_page(service)
    card = await tab.run("Say hello.")
    run = await card.run_id()
    await card.ends("completed")
    second = await open_page(service, f"/#run={run}")
    expired = second.page.locator(".card")

    await expect(expired).to_have_attribute("data-state", "lost")
    await expect(expired.locator(".ending")).to_contain_text("no longer keeps this run")


@in_one_loop
async def scene(browser: Browser, shop: RunningService) -> Any:
    """Tabs whose socket the test plays: what it is called with gets each frame."""
    contexts = []

    async def open_(speak: Any) -> Shown:
        context = await browser.new_context()
        contexts.append(context)
        tab = Shown(await context.new_page(), shop.url)

        def played(socket: WebSocketRoute) -> None:
            def say(**frame: Any) -> None:
                socket.send(json.dumps(frame))

            say(type="welcome", conn="c_1", heartbeat_ms=15000, limits={"streams": 64})
            socket.on_message(lambda text: speak(socket, say, json.loads(text)))

        await tab.page.route_web_socket("**/v1/ws", played)
        await tab.page.goto(shop.url)
        await tab.ready()
        return tab

    yield open_
    for context in contexts:
        await context.close()


def event(seq: int, type_: str, **fields: Any) -> dict[str, Any]:
    """An event of the run the scenes play."""
    return {"id": f"1-{seq}", "run": "run_1", "t_ms": seq, "type": type_, **fields}


def opening(say: Any, frame: dict[str, Any], *events: dict[str, Any]) -> None:
    """Answer a start and send events."""
    say(type="reply", id=frame["id"], status=202, stream=frame["stream"], run="run_1")
    say(stream=frame["stream"], event=event(1, "run.started", recipe="generate", model="m"))
    for each in events:
        say(stream=frame["stream"], event=each)


async def test_a_restarted_run_discards_what_came_before(scene: Any) -> None:
    """After `run.restarted` only what follows is the answer."""

    def speak(_socket: WebSocketRoute, say: Any, frame: dict[str, Any]) -> None:
        if frame["type"] == "start":
            opening(
                say,
                frame,
                event(2, "text.delta", text="Returns are "),
                event(3, "run.restarted", reason="upstream"),
                event(4, "text.delta", text="Lamps can be sent back."),
            )

    card = await (await scene(speak)).run("How do returns work?")

    await card.says("Lamps can be sent back.")
    await expect(card.chips).to_contain_text("restarted")


async def test_a_gap_is_shown(scene: Any) -> None:
    """Events that the service no longer has are a mark in the text, not a seamless hole."""

    def speak(_socket: WebSocketRoute, say: Any, frame: dict[str, Any]) -> None:
        if frame["type"] == "start":
            opening(say, frame, event(2, "text.delta", text="Lamps "))
            say(type="gap", stream=frame["stream"], after="1-2", first="1-9")
            say(stream=frame["stream"], event=event(9, "text.delta", text="back."))

    card = await (await scene(speak)).run("How do returns work?")

    await card.says("Lamps back.")
    await expect(card.element.locator(".seam[data-kind=gap]")).to_be_visible()
    await expect(card.chips).to_contain_text("gap")


async def test_a_wire_that_lies_is_found_out(scene: Any) -> None:
    """An event that comes twice is shown once, one that is missing is marked, a wrong hash told."""

    def speak(_socket: WebSocketRoute, say: Any, frame: dict[str, Any]) -> None:
        if frame["type"] == "start":
            opening(
                say,
                frame,
                event(2, "text.delta", text="Lamps "),
                event(2, "text.delta", text="Lamps "),
                event(5, "text.delta", text="back."),
                event(6, "run.completed", finish_reason="stop", text_sha256="0" * 64,
                      usage={"input_tokens": 1, "output_tokens": 2}, attempts=1),
            )  # fmt: skip

    card = await (await scene(speak)).run("How do returns work?")

    await card.says("Lamps back.")
    for words in ("1 duplicates", "events missing", "text differs"):
        await expect(card.chips).to_contain_text(words)
    await expect(card.ending).to_contain_text("its SHA-256 differs")


async def test_a_refused_connection_is_not_tried_again(scene: Any) -> None:
    """After a close code 44xx the page stays away until somebody presses the button."""
    frames = []

    def speak(socket: WebSocketRoute, _say: Any, frame: dict[str, Any]) -> None:
        frames.append(frame)
        if frame["type"] == "start":
            asyncio.get_running_loop().create_task(socket.close(code=4403, reason="origin"))

    tab = await scene(speak)
    card = await tab.run("How do returns work?")

    await expect(tab.status("connection")).to_have_attribute("data-state", "refused")
    await expect(tab.status("connection-words")).to_contain_text("4403")
    await expect(card.chips).to_contain_text("disconnected")
    await expect(tab.status("reconnect")).to_be_visible()


async def test_a_closed_connection_comes_back_by_itself(scene: Any) -> None:
    """After a close code 45xx the page reconnects and sends the start that was not answered."""
    starts = []

    def speak(socket: WebSocketRoute, say: Any, frame: dict[str, Any]) -> None:
        if frame["type"] != "start":
            return
        starts.append(frame)
        if len(starts) == 1:
            asyncio.get_running_loop().create_task(socket.close(code=4512, reason="drain"))
        else:
            opening(say, frame, event(2, "text.delta", text="Lamps can be sent back."))

    tab = await scene(speak)
    card = await tab.run("How do returns work?")

    await card.says("Lamps can be sent back.")
    await expect(tab.status("reconnects")).to_have_text("1")
    assert [start["input"] for start in starts] == [{"prompt": "How do returns work?"}] * 2
