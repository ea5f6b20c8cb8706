"""The documents and the reference in Chromium, under the service's Content-Security-Policy."""

import pytest
from playwright.async_api import Browser, Page, expect

from llm_stream.testing.service import RunningService
from llm_stream.web.operations import OPERATIONS

pytestmark = [pytest.mark.browser, pytest.mark.slow]


async def opened(browser: Browser, url: str, path: str) -> tuple[Page, list[str]]:
    """A page, and what was wrong with it: complaints, and requests to anybody else."""
    page = await (await browser.new_context()).new_page()
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on(
        "request",
        lambda asked: None if asked.url.startswith((url, "data:")) else wrong.append(asked.url),
    )
    await page.goto(url + path)
    return page, wrong


async def test_the_reference_lists_and_tries_every_operation(
    browser: Browser, service: RunningService
) -> None:
    """It is made of the service's own files, and calls the service as it describes it."""
    page, wrong = await opened(browser, service.url, "/docs/api-reference")
    await expect(page.locator(".opblock")).to_have_count(len(OPERATIONS))
    block = page.locator("#operations-Service-get_livez")
    await block.locator(".opblock-summary-control").click()
    await block.locator(".try-out__btn").click()
    await block.locator(".execute").click()

    answered = block.locator(".live-responses-table tbody .response-col_status")
    await expect(answered).to_contain_text("200")
    assert wrong == []
    await page.context.close()


async def test_the_documents_can_be_searched(browser: Browser, service: RunningService) -> None:
    """A search finds its page without any other host; its diagrams are drawn."""
    page, wrong = await opened(browser, service.url, "/docs")
    await page.fill(".sidebar-search", "goaway")
    await page.press(".sidebar-search", "Enter")
    await page.locator("ul.search").get_by_role("link", name="Protocol", exact=True).click()
    picture = page.locator(".diagram img").first
    await picture.scroll_into_view_if_needed()

    await expect(picture).not_to_have_js_property("naturalWidth", 0)
    assert wrong == []
    await page.context.close()
