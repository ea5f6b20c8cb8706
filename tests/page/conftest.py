"""The page in a real Chromium, before a real service whose model speaks when it is told to."""

import asyncio
import inspect
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, async_playwright, expect

from llm_stream.access.clientfile import ClientRecord, editing, now
from llm_stream.access.clientkey import new_key
from llm_stream.testing import Script, ScriptedModel, words
from llm_stream.testing.service import RunningService, running_service

from ..conftest import StartService, settings

ARTIFACTS: Final = Path(__file__).parent.parent.parent / "artifacts"
"""Screenshots; not in git."""

OpenPage = Callable[..., Awaitable["Shown"]]

CHROMIUM_NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM_ARGUMENTS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

expect.set_options(timeout=10_000)


class HeldModel(ScriptedModel):
    """Says a chunk each time it is allowed to; `free` lets it say everything."""

    def __init__(self, model_id: str, *scripts: Script) -> None:
        super().__init__(model_id, *scripts)
        self._turns = asyncio.Semaphore(0)
        self._free = False

    async def pause(self, seconds: float) -> None:
        """Wait for a turn."""
        if not self._free:
            await self._turns.acquire()

    def allow(self, chunks: int) -> None:
        """Let it say so many chunks more."""
        for _ in range(chunks):
            self._turns.release()

    def free(self) -> None:
        """Let it say all that is left, in this answer and in later ones."""
        self._free = True
        self.allow(1_000)


class Shown:
    """A tab with the page, and what a person does there."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.complaints: list[str] = []
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _console(self, message: Any) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(message.text)

    async def ready(self) -> None:
        """Wait until it is connected and knows the models."""
        await expect(self.page.locator("#connection")).to_have_attribute("data-state", "open")
        await expect(self.page.locator("#examples")).to_be_visible()

    async def run(self, prompt: str, model: str = "") -> "Card":
        """Start a run; its card."""
        await self.page.select_option("#model", model)
        await self.page.fill("[data-field=prompt]", prompt)
        await self.page.click("#run")
        return self.card(prompt)

    def card(self, title: str) -> "Card":
        """The card of that title."""
        return Card(
            self.page.locator(".card").filter(has=self.page.get_by_text(title, exact=True)).first
        )

    async def panel(self, name: str) -> Locator:
        """Open a panel by the keyboard; where room is short its button has to be unfolded."""
        opener = self.page.locator(f"#{name}-open")
        if not await opener.is_visible():
            await self.page.locator("#tools-fold").press("Enter")
        await opener.press("Enter")
        panel = self.page.locator(f"#{name}")
        await expect(panel).to_be_visible()
        return panel

    @property
    def cards(self) -> Locator:
        """All cards, newest first."""
        return self.page.locator(".card")

    def status(self, name: str) -> Locator:
        """A figure of the status bar."""
        return self.page.locator(f"#{name}")


class Card:
    """A run on the page."""

    def __init__(self, element: Locator) -> None:
        self.element = element
        self.answer = element.locator(".answer")
        self.ending = element.locator(".ending")
        self.chips = element.locator(".chips")

    async def says(self, text: str) -> None:
        """Wait until the answer is exactly this text."""
        await expect(self.answer).to_have_js_property("textContent", text)

    async def text(self) -> str:
        """The answer, to the character."""
        return await self.answer.evaluate("element => element.textContent")  # type: ignore[no-any-return]

    async def ends(self, state: str) -> None:
        """Wait until the run has ended in this state and the card says so."""
        await expect(self.element).to_have_attribute("data-state", state)
        await expect(self.ending).to_be_visible()

    async def act(self, name: str) -> None:
        """Press one of its buttons."""
        await self.element.locator(f"[data-act={name}]").click()

    async def run_id(self) -> str:
        """The run's id."""
        await expect(self.element).to_have_attribute("data-run", RUN_ID)
        return str(await self.element.get_attribute("data-run"))


RUN_ID: Final = re.compile("^run_")

SCRIPT: Final = Script(chunks=words(60, seed=2), usage=(30, 60))
TEXT: Final = "".join(SCRIPT.chunks)


def first(chunks: int) -> str:
    """The beginning of the held model's answer."""
    return "".join(SCRIPT.chunks[:chunks])


@pytest.fixture
def key(tmp_path: Path) -> str:
    """The key of the only client."""
    made = new_key()
    with editing(tmp_path / "clients.toml") as clients:
        clients[made.id] = ClientRecord(name="page", hash=made.hash, created_at=now())
    return made.text


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of Chromium; without it the tests fail and say what to do."""
    for name in CHROMIUM_NAMES:
        if path := shutil.which(name):
            return path
    pytest.fail("The tests of the page need Chromium: install it, or run `make test BROWSER=0`.")


in_one_loop = pytest_asyncio.fixture(loop_scope="session")
"""Fixtures of these tests live in the loop of the browser, which is started once."""


IN_ONE_LOOP: Final = pytest.mark.asyncio(loop_scope="session")


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Say so before pytest-asyncio chooses a loop, or each test has its own, and a browser."""
    if inspect.iscoroutinefunction(metafunc.function):
        metafunc.definition.add_marker(IN_ONE_LOOP, append=False)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests of this folder in the loop of the browser."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here) and pytest_asyncio.is_async_test(item):
            item.add_marker(IN_ONE_LOOP, append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(chromium: str) -> AsyncIterator[Browser]:
    """A running Chromium."""
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(
            executable_path=chromium, args=list(CHROMIUM_ARGUMENTS)
        )
        yield started
        await started.close()


@pytest.fixture
def held() -> HeldModel:
    """A model that waits for leave before each chunk of `TEXT`."""
    return HeldModel("held", SCRIPT)


@in_one_loop
async def start_service(model: ScriptedModel) -> AsyncIterator[StartService]:
    """Starts services, as the fixture of the same name above does."""
    async with AsyncExitStack() as stack:

        async def start(*models: object, **sections: dict[str, object]) -> RunningService:
            return await stack.enter_async_context(
                running_service(settings(**sections), [model, *models])  # type: ignore[list-item]
            )

        yield start


@in_one_loop
async def service(start_service: StartService) -> RunningService:
    """A service with default limits and the scripted model."""
    return await start_service()


@in_one_loop
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """A client session."""
    async with aiohttp.ClientSession() as session:
        yield session


@in_one_loop
async def shop(start_service: StartService, held: HeldModel) -> RunningService:
    """A service whose default model is held."""
    return await start_service(held, models={"default": "held", "aliases": {"fast": "scripted"}})


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def modules(browser: Browser) -> AsyncIterator[Page]:
    """A tab in which modules of the page can be imported; nothing of the page runs in it."""
    async with running_service(settings()) as service:
        page = await browser.new_page()
        await page.goto(f"{service.url}/docs")
        yield page
        await page.close()


@in_one_loop
async def open_page(
    browser: Browser,
    start_service: StartService,  # services have to outlive the tabs, or they wait for them
) -> AsyncIterator[OpenPage]:
    """Tabs before a service, at a path (`"/#run=..."`), in a browser context with options.

    At the end no tab may have complained: no error, no warning, nothing blocked by the
    Content-Security-Policy.
    """
    tabs: list[Shown] = []
    async with AsyncExitStack() as stack:

        async def open_(service: RunningService, path: str = "/", **options: Any) -> Shown:
            context = await browser.new_context(**options)
            stack.push_async_callback(context.close)
            tab = Shown(await context.new_page(), service.url)
            tabs.append(tab)
            await tab.page.goto(service.url + path)
            await tab.ready()
            return tab

        yield open_
    assert [tab.complaints for tab in tabs] == [[] for _ in tabs]


@in_one_loop
async def tab(open_page: OpenPage, shop: RunningService) -> Shown:
    """One tab before the service with the held model."""
    return await open_page(shop)
