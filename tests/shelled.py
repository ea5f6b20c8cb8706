"""Commands that start runs, run in this process against a service whose model is scripted."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
import structlog
from click.testing import CliRunner, Result

from llm_stream.cli import main
from llm_stream.testing import Script, ScriptedModel
from llm_stream.testing.scripted import Call

from .threaded import threaded_service


@dataclass(frozen=True)
class Shell:
    """A shell whose commands speak to one service, and the model behind it."""

    url: str
    model: ScriptedModel

    def run(self, *arguments: str, stdin: str | bytes | None = None, **env: str) -> Result:
        """Run a command of `llm-stream`."""
        variables = {"LLM_STREAM_URL": self.url, "LLM_STREAM_KEY": ""} | env
        return CliRunner().invoke(
            main, arguments, input=stdin, env=variables, prog_name="llm-stream"
        )

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the service itself."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        with urlopen(Request(self.url + path, data, headers, method=method)) as reply:
            return json.load(reply)

    def forget(self) -> None:
        """Keep no answers, and let the model greet."""
        self.call("POST", "/v1/cache/invalidate", {"all": True})
        self.model.respond = None

    def says(self, *chunks: str, **script: Any) -> None:
        """Let the model answer so from now on."""
        self.model.respond = lambda _call: Script(chunks=chunks, **script)

    def answers(self, answer: Callable[[Call], Any]) -> None:
        """Let it answer with JSON, each call with what is made for it."""
        self.model.respond = lambda call: Script(chunks=(json.dumps(answer(call)),))


def task(name: str, *before: str, hours: int = 2, **more: Any) -> dict[str, Any]:
    """One task of a plan."""
    return {
        "id": name, "title": f"Build the {name}", "description": "As designed.", "type": "task",
        "depends_on": list(before), "acceptance_criteria": ["works"], "deliverables": [name],
        "effort": {"low": 1, "likely": hours, "high": 9, "unit": "hours"}, "complexity": "low",
        "priority": "high", "risk": "low", "expand": {"recommended": False, "hint": ""},
        "covers": [],
    } | more  # fmt: skip


def judged(rating: str, **more: Any) -> dict[str, Any]:
    """What a model says about one criterion."""
    return {"reason": "It is so.", "evidence": [], "rating": rating, "missing": []} | more


@contextmanager
def shell_of(folder: Path) -> Iterator[Shell]:
    """A shell and its service, whose llm has this folder."""
    model = ScriptedModel("scripted")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LLM_USER_PATH", str(folder))
        # Its log would stand in what the commands print, for they are in one process.
        structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
        try:
            with threaded_service(model) as service:
                yield Shell(service.url, model)
        finally:
            structlog.reset_defaults()
