"""The guard of the hot path: what a token, a run and a frame call, counted without a clock."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
ONE = "a token, by SSE, in bursts"

EXTRAS = """
import asyncio, io, json, pydantic, structlog, sys
from benchmarks.hot_path import __main__ as hot_path
from llm_stream import logs
from llm_stream.engine.eventlog import EventLog

class Delta(pydantic.BaseModel):
    type: str

async def nothing():
    pass

log, append_all, one = structlog.get_logger(), EventLog.append_all, sys.argv[1]
extras = {
    "log": lambda payload: log.info("token", type=payload["type"]),
    "validation": lambda payload: Delta.model_validate({"type": payload["type"]}),
    "task": lambda payload: asyncio.create_task(nothing()),
    "calls": lambda payload: [len(payload) for _ in range(30)],
}

def told(extra=None, repeat=1):
    def more(log, payloads):
        for payload in payloads:
            extra(payload)
        append_all(log, payloads)
    EventLog.append_all = more if extra else append_all
    with asyncio.Runner(loop_factory=hot_path.Loop) as runner:
        rounds = runner.run(hot_path.measure(one, repeat))
    limit = json.loads(hot_path.KEPT.read_text())[one] * hot_path.MARGIN
    return [(each[one].each, [*each[one].faults(one, limit, 3)]) for each in rounds]

logs.configure("info", "json", io.StringIO())
if sys.argv[2:]:
    print(json.dumps({name: told(extra) for name, extra in extras.items()}))
    sys.argv[1:] = ["--check", "--only", one]
    hot_path.main()
print(json.dumps(told(repeat=3)))
"""
"""What somebody might do for each event, done; at last by the guard as it is called."""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The interpreter with these arguments, in the repository."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def found(run: subprocess.CompletedProcess[str]) -> Any:
    """Counts and faults of each round."""
    return json.loads(run.stdout.partition("\n")[0])


@pytest.mark.slow
def test_the_hot_path_calls_no_more_than_it_did() -> None:
    """Tokens, runs and frames are within their limits; if not, what is said here tells why."""
    checked = run("-m", "benchmarks.hot_path", "--check")

    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "a run of 16 tokens, WebSocket" in checked.stdout


@pytest.mark.slow
def test_a_token_is_counted_the_same_each_time() -> None:
    """Three counts of the same code are one number, and nothing is wrong with it."""
    first, second, third = found(run("-c", EXTRAS, ONE))

    assert first == second == third
    assert first[1] == []


@pytest.mark.slow
def test_what_is_done_for_each_token_is_found() -> None:
    """Whoever adds to a token is told what it is, or that it is too much, and what to do."""
    guarded = run("-c", EXTRAS, ONE, "extras")
    told = {name: "\n".join(faults) for name, ((_, faults),) in found(guarded).items()}

    assert "structlog/" in told["log"]
    assert "SchemaValidator" in told["validation"]
    assert "create_task" in told["task"]
    assert "over the limit" in told["calls"]
    assert guarded.returncode == 1
    assert "--write" in guarded.stderr
