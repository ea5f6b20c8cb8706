"""Logs: JSON lines with ids and figures, without prompts and secrets."""

import io
import json
import logging
from collections.abc import AsyncGenerator
from typing import Any

import aiohttp
import structlog

from llm_stream import logs
from llm_stream.testing import Fault, Script, ScriptedModel

from .conftest import StartService


async def test_one_line_a_run_and_one_a_request(
    lines: Any, start_service: StartService, http: aiohttp.ClientSession
) -> None:
    """Both lines carry the ids that connect them, and what came of it."""
    service = await start_service()
    async with http.post(
        f"{service.url}/v1/generate", json={"prompt": "canary-prompt"},
        headers={"X-Request-Id": "abc"},
    ) as response:  # fmt: skip
        body = await response.json()
    run, request = (
        next(line for line in lines() if line["event"] == event and line["request"] == "abc")
        for event in ("run", "request")
    )

    assert run["run"] == body["id"]
    assert (run["outcome"], run["chunks"], run["output_tokens"]) == ("completed", 4, 4)
    assert (request["status"], request["path"]) == (200, "/v1/generate")
    assert "canary-prompt" not in json.dumps(lines())
    assert "Hello" not in json.dumps(lines())


async def test_a_failure_is_a_warning_with_its_code(
    lines: Any, start_service: StartService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """The model's failure is told with code and detail; a key in it is not."""
    model.scripts = [Script(fault=Fault(error=ConnectionError("Bearer sk-canary12345678")))]
    service = await start_service()
    async with http.post(f"{service.url}/v1/generate", json={"prompt": "x"}):
        pass
    line = next(line for line in lines() if line["event"] == "run")

    assert (line["level"], line["code"]) == ("warning", "upstream_failed")
    assert "canary" not in json.dumps(lines())


async def test_a_bug_in_a_recipe_is_logged_with_its_traceback(
    lines: Any, start_service: StartService, http: aiohttp.ClientSession
) -> None:
    """What the caller is not shown, the operator finds by the request's id."""
    service = await start_service()

    class Broken:
        name = "generate"

        def identity(self, _spec: Any) -> str:
            return ""

        async def run(self, spec: Any, ask: Any) -> AsyncGenerator[Any]:
            raise KeyError("the bug")
            yield

    service.parts.launcher.recipes["generate"] = Broken()
    async with http.post(f"{service.url}/v1/generate", json={"prompt": "canary"}) as response:
        body = await response.json()
    line = next(line for line in lines() if line["event"] == "run")

    assert body["code"] == line["code"] == "internal_error"
    assert line["request"] == body["request"]
    assert "the bug" in json.dumps(line["exception"])
    assert "canary" not in json.dumps(lines())


def test_other_libraries_log_the_same_way(lines: Any) -> None:
    """A line of the standard library's logging is JSON too."""
    logging.getLogger("elsewhere").warning("disk %s", "full")

    assert lines()[-1]["event"] == "disk full"
    assert lines()[-1]["level"] == "warning"


def test_a_terminal_gets_readable_lines() -> None:
    """Style `console` is not JSON."""
    stream = io.StringIO()
    before = logging.getLogger().handlers[:]
    logs.configure("info", "console", stream)
    logging.getLogger("x").info("hello")
    logging.getLogger().handlers[:] = before
    structlog.reset_defaults()

    assert "hello" in stream.getvalue()
    assert not stream.getvalue().startswith("{")
