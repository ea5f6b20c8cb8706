"""Logs: JSON lines with ids and figures, without prompts and secrets."""

import asyncio
import io
import json
import logging
import sys
import time
from collections.abc import AsyncGenerator
from typing import Any

import aiohttp
import pytest
import structlog

from llm_stream import loglines, logs
from llm_stream.models.faults import never_show
from llm_stream.testing import Fault, Script, ScriptedModel

from .conftest import ConfigureLogs, StartService
from .wire import WsClient


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

    assert run["run"] == request["run"] == body["id"]
    assert (run["outcome"], run["chunks"], run["output_tokens"]) == ("completed", 4, 4)
    assert (run["attempts"], run["cache"], request["cache"]) == (1, "miss", "miss")
    assert run["queued_ms"] <= run["first_token_ms"] <= run["total_ms"] <= request["ms"] + 1
    assert (request["status"], request["path"]) == (200, "/v1/generate")
    assert "canary-prompt" not in json.dumps(lines())
    assert "Hello" not in json.dumps(lines())


async def test_a_failure_is_a_warning_with_its_code(
    lines: Any, start_service: StartService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """The model's failure is told with its code and its error's name, in none of its words."""
    model.scripts = [Script(fault=Fault(error=ConnectionError("Bearer sk-canary12345678")))]
    service = await start_service()
    async with http.post(f"{service.url}/v1/generate", json={"prompt": "x"}):
        pass
    line = next(line for line in lines() if line["event"] == "run")

    assert (line["level"], line["code"]) == ("warning", "upstream_failed")
    assert (line["cause"], "detail" in line) == ("ConnectionError", False)
    assert "canary" not in json.dumps(lines())


async def test_what_a_model_has_said_wrongly_is_not_logged(
    lines: Any, start_service: StartService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """The caller is told what does not meet the schema; the log is not."""
    model.scripts = [Script(chunks=('{"a": "canary"}',))]
    service = await start_service()
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    async with http.post(
        f"{service.url}/v1/generate", json={"prompt": "x", "schema": schema}
    ) as response:
        assert "canary" in (await response.json())["detail"]

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


@pytest.mark.parametrize(
    ("times", "mode", "cache"), [(1, "bypass", "bypass"), (2, "use", "hit"), (1, "use", "miss")]
)
async def test_a_request_says_how_the_cache_took_part(
    lines: Any,
    start_service: StartService,
    http: aiohttp.ClientSession,
    times: int,
    mode: str,
    cache: str,
) -> None:
    """A hit has a line of its own, though no run was started for it."""
    service = await start_service()
    for number in range(times):
        async with http.post(
            f"{service.url}/v1/generate", json={"prompt": "x", "cache": {"mode": mode}},
            headers={"X-Request-Id": f"r{number}"},
        ) as response:  # fmt: skip
            body = await response.json()
    last = next(line for line in lines() if line.get("request") == f"r{times - 1}"
                and line["event"] == "request")  # fmt: skip

    assert (last["run"], last["cache"]) == (body["id"], cache)
    assert sum(line["event"] == "run" for line in lines()) == 1


async def test_joined_calls_are_told(
    lines: Any, start_service: StartService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """On the socket each start has a line; two that share a run have its id in common."""
    model.scripts = [Script(fault=Fault(at=1, stall=True))]
    service = await start_service()
    ws = await WsClient.connect(http, service.url)
    for number in ("1", "2"):
        await ws.ask(type="start", id=number, recipe="generate", input={"prompt": "x"})
    await ws.ws.close()
    started = [line for line in lines() if line["event"] == "start"]

    assert [line["cache"] for line in started] == ["miss", "joined"]
    assert started[0]["run"] == started[1]["run"]


async def test_a_request_about_no_run_names_none(
    lines: Any, start_service: StartService, http: aiohttp.ClientSession
) -> None:
    """What is not known has no field."""
    service = await start_service()
    async with http.get(f"{service.url}/v1/models"):
        pass
    line = next(line for line in lines() if line["event"] == "request")

    assert not {"run", "cache"} & line.keys()


async def test_inner_runs_name_their_parent_and_fallbacks_their_model(
    lines: Any, start_service: StartService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """One request's lines are found by it; who answered for another is told."""
    model.scripts = [Script(fault=Fault(error=ConnectionError("x")))]
    service = await start_service(
        ScriptedModel("second"), models={"retries": {"initial_seconds": 0}}
    )
    requests = [{"input": {"prompt": "x", "fallback_models": ["second"]}}]
    async with http.post(f"{service.url}/v1/batch", json={"requests": requests}) as response:
        body = await response.json()
    inner, outer = (line for line in lines() if line["event"] == "run")

    assert inner["parent"] == outer["run"] == body["id"]
    assert inner["request"] == outer["request"]
    assert (inner["model"], inner["answered_by"]) == ("scripted", "second")
    assert "answered_by" not in outer


def test_parts_have_levels_of_their_own(configure: ConfigureLogs) -> None:
    """Quieter or louder than the rest, for structlog's loggers and the standard library's."""
    lines = configure("warning", levels={"quiet": "error", "loud": "debug"})
    for name in ("quiet", "loud", "other", "loud.inner"):
        for log in (structlog.get_logger(name), logging.getLogger(name)):
            log.debug("debug")
            log.warning("warning")

    assert [(line["logger"], line["event"]) for line in lines()] == [
        ("loud", "debug"), ("loud", "warning"), ("loud", "debug"), ("loud", "warning"),
        ("other", "warning"), ("other", "warning"),
        ("loud.inner", "debug"), ("loud.inner", "warning"), ("loud.inner", "debug"),
        ("loud.inner", "warning"),
    ]  # fmt: skip


@pytest.mark.parametrize("shown", [False, True])
async def test_prompts_are_in_the_log_only_when_switched_on(
    configure: ConfigureLogs, start_service: StartService, http: aiohttp.ClientSession, shown: bool
) -> None:
    """Then it is their first words, in the line of the run; answers never are."""
    lines = configure("debug")
    service = await start_service(logging={"prompts": shown})
    async with http.post(f"{service.url}/v1/generate", json={"prompt": "canary prompt"}):
        pass
    run = next(line for line in lines() if line["event"] == "run")

    assert run.get("title") == ("canary prompt" if shown else None)
    assert json.dumps(lines()).count("canary") == int(shown)
    assert "Hello" not in json.dumps(lines())


CANARIES = {
    "sk-dolphin-0123456789": "sk-dolphin-0123456789",
    "ticket.ZG9scGhpbi0wMTIzNDU2Nzg5": "[redacted]",
    "Bearer canary.0123456789": "Bearer [redacted]",
    "authorization: Basic canary0123": "authorization: Basic [redacted]",
    'api_key="canary"': 'api_key="[redacted]"',
    '{"password": "canary"}': '{"password": "[redacted]"}',
    "redis://user:canary@127.0.0.1:6379/0": "redis://[redacted]@127.0.0.1:6379/0",
    "AIzacanary0123": "[redacted]",
}
"""What must not be logged -> what is instead."""


@pytest.mark.parametrize(("text", "shown"), CANARIES.items())
def test_what_looks_like_a_secret_is_in_no_line(lines: Any, text: str, shown: str) -> None:
    """Whoever logs it, as a message, a field or an error; the line stays JSON."""
    shown = shown.replace("sk-dolphin-0123456789", "[redacted]")
    logging.getLogger("elsewhere").warning("it said %s", text)
    structlog.get_logger("ours").warning("said", detail=text, more={"deep": [text]})
    structlog.get_logger("ours").error("failed", exc_info=ValueError(text))
    message, field, error = lines()

    assert message["event"] == f"it said {shown}"
    assert (field["detail"], field["more"]) == (shown, {"deep": [shown]})
    assert error["exception"][0]["exc_value"] == shown
    assert "canary" not in json.dumps(lines())


def test_known_keys_are_in_no_line_whatever_they_look_like(lines: Any) -> None:
    """The values of keys are told apart by what they are."""
    never_show("plain canary words")
    logging.getLogger("elsewhere").warning("it said: plain canary words")

    assert lines()[0]["event"] == "it said: [redacted]"


def test_what_finds_a_run_is_left_alone(lines: Any) -> None:
    """Ids and fingerprints are long and no secrets."""
    fields = {
        "run": "run_01M8E5CKBT00000JS88N44X7ZC", "request": "req_9b0b9ef5c5d710c8e439",
        "key": "0123456789abcdef" * 4, "input_tokens": 12,
    }  # fmt: skip
    structlog.get_logger("ours").info("run", **fields)

    assert lines()[0].items() >= fields.items()


def test_other_libraries_log_the_same_way(lines: Any) -> None:
    """A line of the standard library's logging is JSON too."""
    logging.getLogger("elsewhere").warning("disk %s", "full")

    assert lines()[-1]["event"] == "disk full"
    assert lines()[-1]["level"] == "warning"


@pytest.mark.parametrize(
    "value",
    ["\u00e9\u00e8 \x9b", "half: \udcff", 1 << 70, float("nan"), {("a", 1): 2}, object()],
    ids=["letters", "half a character", "huge", "no number", "odd key", "object"],
)
def test_every_value_can_be_told(lines: Any, value: Any) -> None:
    """In ASCII, so that every stream can take it; no line fails whoever writes it."""
    structlog.get_logger("ours").info("told", value=value)
    (ours,) = lines()
    # Not logged: what a test has logged is told to other processes, which half a character is not.
    record = logging.LogRecord("elsewhere", logging.WARNING, "", 0, "%s", (value,), None)
    theirs = json.loads(logging.getLogger().handlers[0].format(record))

    assert (ours["event"], theirs["level"]) == ("told", "warning")
    assert json.dumps(ours).isascii()
    if isinstance(value, str):
        assert (ours["value"], theirs["event"]) == (value, value)


def test_a_line_that_cannot_be_told_says_so(lines: Any) -> None:
    """What refers to itself has no JSON; its fields are named."""
    circle: list[Any] = []
    circle.append(circle)
    structlog.get_logger("ours").info("told", circle=circle)

    assert "'circle'" in lines()[0]["unreadable"]


async def test_a_secret_beside_lines_without_one_is_in_none(lines: Any) -> None:
    """What one turn of the loop has to tell is looked at together, and told line by line."""
    log = structlog.get_logger("ours")
    for said in ("before", "password:", "sk-dolphin-0123456789 it is", "behind"):
        log.info(said)
    await asyncio.sleep(0)

    assert [line["event"] for line in lines()] == [
        "before", "password:", "[redacted] it is", "behind",
    ]  # fmt: skip


def test_each_line_has_its_own_time(lines: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """In UTC, to the microsecond, by a clock that may be set back."""
    for now in (1_700_000_000_999_999_900, 1_700_000_001_000_000_000, 1_699_999_999_000_001_000):
        monkeypatch.setattr(time, "time_ns", lambda now=now: now)
        structlog.get_logger("ours").warning("told")
    logging.getLogger("elsewhere").warning("told")

    assert [line["timestamp"] for line in lines()] == [
        "2023-11-14T22:13:20.999999Z", "2023-11-14T22:13:21.000000Z",
        "2023-11-14T22:13:19.000001Z", "2023-11-14T22:13:19.000001Z",
    ]  # fmt: skip


def test_a_logger_may_have_no_name(lines: Any) -> None:
    """It is named after who asks for it."""
    structlog.get_logger().info("told")

    assert "test_logs" in lines()[0]["logger"]


def test_a_log_that_nobody_takes_fails_nothing() -> None:
    """A pipe whose reader has gone is not the end of a request."""
    stream = io.StringIO()
    before = logging.getLogger().handlers[:]
    logs.configure("info", "json", stream)
    stream.close()
    structlog.get_logger("ours").info("request")
    logging.getLogger().handlers[:] = before
    loglines.Lines.stream = sys.stderr
    structlog.reset_defaults()


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
