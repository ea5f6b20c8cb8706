"""Promise P8: no key of a provider and no prompt where operators and other callers look."""

import json
from typing import Any

import aiohttp
import pytest

from llm_stream.config import ProviderSection, RetriesSection
from llm_stream.testing.mockproviders import MockFault, MockProviders, MockScript

from ..conftest import StartService
from ..wire import SSE

KEY = "sk-canary-key-0123456789"
PROMPT = "canary-prompt"
ECHO = json.dumps({"error": {"message": f"Incorrect API key {KEY} for {PROMPT}"}})

FAULTS = {
    "mock-words-5": None,
    "refused": MockFault(status=401, body=ECHO),
    "broken": MockFault(status=500, body=ECHO),
    "page": MockFault(status=502, body=f"<html>{ECHO}", content_type="text/html"),
    "mock-malformed-1": None,
    "mock-error-2": None,
    "mock-cut-50-rst": None,
}


@pytest.mark.parametrize("accepts", [{}, SSE], ids=["json", "sse"])
async def test_keys_and_prompts_stay_between_caller_and_provider(
    start_service: StartService,
    http: aiohttp.ClientSession,
    mocks: MockProviders,
    monkeypatch: pytest.MonkeyPatch,
    lines: Any,
    accepts: dict[str, str],
) -> None:
    """Whatever a provider answers, be it an echo of both: neither is in logs, figures or errors."""
    monkeypatch.setenv("MOCK_KEY", KEY)
    provider = ProviderSection(base_url=mocks.openai_url, api_key_env=("MOCK_KEY",))
    service = await start_service(
        providers={"chat": provider}, models={"retries": RetriesSection(attempts=1)}
    )
    told = []
    for name, fault in FAULTS.items():
        if fault is not None:
            mocks.scripts[name] = MockScript(faults=(fault,))
        body = {"prompt": PROMPT, "model": f"chat/{name}", "tags": ["t"]}
        async with http.post(f"{service.url}/v1/generate", json=body, headers=accepts) as response:
            told.append((await response.text(), str(response.headers)))
    seen = {"logs": json.dumps(lines())}
    for path in ("metrics", "health", "v1/models"):
        async with http.get(f"{service.url}/{path}") as response:
            seen[path] = await response.text()
    async with http.get(f"{service.url}/v1/cache") as response:
        seen["keys"] = json.dumps([entry["key"] for entry in (await response.json())["entries"]])

    assert '"upstream_status": 401' in seen["logs"]
    assert len(json.loads(seen["keys"])) == 1
    assert [name for name, text in seen.items() if KEY in text or PROMPT in text] == []
    assert [text for text in told if KEY in str(text)] == []
    assert all(request.headers["authorization"].endswith("6789") for request in mocks.requests)
