"""The programs in `examples/` do what they say, against scripted models."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from llm_stream.testing import Script, ScriptedModel
from llm_stream.testing.scripted import Call
from llm_stream.testing.service import RunningService

EXAMPLES = Path(__file__).parent.parent / "examples"


def task(name: str, *before: str) -> dict[str, Any]:
    """One task of a plan."""
    return {
        "id": name, "title": f"Build {name}", "description": "As designed.", "type": "task",
        "depends_on": list(before), "acceptance_criteria": ["works"], "deliverables": [name],
        "effort": {"low": 1, "likely": 2, "high": 3, "unit": "hours"}, "complexity": "low",
        "priority": "high", "risk": "low", "expand": {"recommended": False, "hint": ""},
        "covers": [],
    }  # fmt: skip


def answer(call: Call) -> Script:
    """A judge that is never content with the first draft of the design, and a planner."""
    if call.schema is None:
        return Script(chunks=("Written.",))
    if "tasks" in call.schema["properties"]:
        plan = [task("shop"), task("basket", "shop"), task("checkout", "basket")]
        return Script(chunks=(json.dumps({"tasks": plan, "open_questions": []}),))
    content = "purpose" not in str(call.messages) or "Do better at" in str(call.messages)
    rating = "met" if content else "unmet"
    judged = {"reason": "Seen.", "evidence": [], "rating": rating, "missing": []}
    return Script(chunks=(json.dumps(judged),))


def direct(url: str) -> subprocess.CompletedProcess[str]:
    """Run the Director against this service, on a wide terminal."""
    return subprocess.run(
        [sys.executable, EXAMPLES / "director.py", "--url", url],
        capture_output=True,
        text=True,
        check=False,
        env={"COLUMNS": "200", "PATH": "/usr/bin:/bin"},
        timeout=60,
    )


async def test_the_director_gets_to_its_end(service: RunningService, model: ScriptedModel) -> None:
    """It writes again what was insufficient, plans, and works on every task."""
    model.respond = answer
    done = await asyncio.to_thread(direct, service.url)

    assert done.returncode == 0, done.stdout + done.stderr
    rows = {
        cells[1].strip(): cells[2].strip()
        for cells in (line.split("│") for line in done.stdout.splitlines() if line.startswith("│"))
    }
    assert rows["Design, judged 1"] == "insufficient"
    assert rows["Tasks"] == "planned"
    assert {name: rows[f"Build {name}"] for name in ("shop", "basket", "checkout")} == {
        "shop": "written (miss)",
        "basket": "written (miss)",
        "checkout": "written (miss)",
    }
