"""How providers and models are, in words: readiness, breakers, probes, calls."""

from typing import Any

import pytest
from playwright.async_api import Page, expect

from .conftest import HeldModel, Shown

pytestmark = pytest.mark.browser


async def test_models_and_their_calls_are_shown(tab: Shown, held: HeldModel) -> None:
    """The service is ready; the model that has answered says so, with its calls and aliases."""
    held.free()
    await (await tab.run("How do returns work?")).ends("completed")
    panel = await tab.panel("providers")
    model = panel.locator("[data-model=held]")

    await expect(panel.get_by_role("status")).to_have_text("The service is ready.")
    await expect(model).to_contain_text("answering")
    await expect(model).to_contain_text("also default")
    await expect(model).to_contain_text("1 answered")


async def test_what_is_missing_or_fails_is_said(tab: Shown) -> None:
    """Components that are missing or fail, and plugins that do not load, are named in words."""
    ready = {"ready": False, "missing": ["draining"], "degraded": ["redis", "provider:mock"]}
    await tab.page.route("**/readyz", lambda route: route.fulfill(status=503, json=ready))
    models = {"data": [], "mocks": [], "faults": [{"plugin": "llm-x", "error": "no module y"}]}
    await tab.page.route("**/v1/models", lambda route: route.fulfill(json=models))
    panel = await tab.panel("providers")

    status = panel.get_by_role("status")
    await expect(status).to_contain_text("The service takes no runs: the service is shutting down")
    await expect(status).to_contain_text("Redis does not take what runs say")
    await expect(status).to_contain_text("mock fails; models of others answer.")
    await expect(panel).to_contain_text("The plugin llm-x could not be loaded: no module y.")
    tab.complaints.clear()  # the browser's own line about 503


async def test_figures_are_not_needed(tab: Shown) -> None:
    """Where the metrics must not be read the rest is shown, and what is missing is said."""
    await tab.page.route("**/metrics", lambda route: route.fulfill(status=403))
    panel = await tab.panel("providers")

    await expect(panel.locator("[data-model=held]")).to_be_visible()
    await expect(panel).to_contain_text("need a client key with the scope “metrics”")
    tab.complaints.clear()  # the browser's own line about 403


CASES = {
    "open": ('llm_stream_provider_breaker{provider="p"} 2', [], "left alone"),
    "half-open": ('llm_stream_provider_breaker{provider="p"} 1', [], "on trial"),
    "failing": ("", ["provider:p"], "failing"),
    "one model": ('llm_stream_breaker{model="p/a"} 2', [], "partly failing"),
    "answering": ('llm_stream_attempts_total{model="p/a",code="ok"} 3', [], "answering"),
    "unnamed": ('llm_stream_attempts_total{model="p/other",code="ok"} 3', [], "answering"),
    "probed": ('llm_stream_probes_total{provider="p",code="ok"} 1', [], "reachable"),
    "silent": ("", [], "not asked yet"),
}


@pytest.mark.parametrize("case", CASES)
async def test_a_provider_has_one_state(modules: Page, case: str) -> None:
    """Breakers come before failures, these before answers, and these before probes."""
    text, degraded, word = CASES[case]
    program = """async ([text, degraded]) => {
      const { parse } = await import("/static/wire/metrics.js");
      const { FAMILIES, providers } = await import("/static/view/providerstate.js");
      const data = [["p/a", "p"], ["b", "q"]];
      const models = data.map(([id, owned_by]) => ({ id, owned_by, aliases: [] }));
      const ready = { ready: true, missing: [], degraded };
      return providers({ data: models, mocks: ["p"] }, ready, parse(text, FAMILIES));
    }"""
    found: list[dict[str, Any]] = await modules.evaluate(program, [text, degraded])
    by_name = {provider["name"]: provider for provider in found}

    assert by_name["p"]["health"]["word"] == word
    assert by_name["q"]["health"]["word"] == "not asked yet"
    assert (by_name["p"]["mock"], by_name["q"]["mock"]) == (True, False)
