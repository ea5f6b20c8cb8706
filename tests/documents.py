"""Examples in the documents: found, run against a service, compared with what is written."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from llm_stream.resources import resource

USUAL_PLACE: Final = "127.0.0.1:8080"
HERE: Final = Path(__file__).parent
STATIC: Final = resource("static")
_BLOCK = re.compile(
    r"```(bash|python|javascript|js)\n(.*?)```\n\n(?:It prints:\n\n)?```(text|json|)\n(.*?)```",
    re.DOTALL,
)
_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_WIDTH: Final = 110

Form = Callable[[str], Any]
"""What of an output is compared."""


@dataclass(frozen=True)
class Example:
    """A block of code and the output that stands below it; `span` is where that is.

    Attributes:
        kind: what the output is: "json" is shown with line breaks of ours, else as it came.
    """

    language: str
    code: str
    kind: str
    output: str
    span: tuple[int, int]


def examples(text: str) -> list[Example]:
    """All examples of a document that have an output."""
    return [
        Example(found[1], found[2], found[3], found[4], found.span(4))
        for found in _BLOCK.finditer(text)
    ]


@dataclass(frozen=True)
class Block:
    """A block of a document that has no output below it, nor is one."""

    language: str
    code: str


def blocks(text: str) -> list[Block]:
    """All blocks of a document that are no part of an example."""
    return [Block(*found) for found in _FENCED.findall(_BLOCK.sub("", text))]


class ExampleRunner:
    """Runs examples: each of the shell is a process, those of Python and JavaScript share one."""

    def __init__(self) -> None:
        self._processes: dict[str, subprocess.Popen[str]] = {}
        self._count = 0

    def __enter__(self) -> Self:
        """Starts nothing yet."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the processes."""
        for process in self._processes.values():
            process.kill()
            process.communicate()

    def run(self, example: Example, address: str, folder: Path) -> str:
        """An example's output with the usual address.

        Args:
            example: what to run.
            address: of the service it is run against.
            folder: stands for /tmp.

        Raises:
            AssertionError: it failed.
        """
        place = address.removeprefix("http://")
        code = example.code.replace(USUAL_PLACE, place).replace("/tmp", str(folder))
        if example.language == "bash":
            done = subprocess.run(
                ["bash", "-eu"], input=code, capture_output=True, text=True, check=False,
                timeout=100, env=_environment() | {"LLM_STREAM_URL": address}, cwd=folder,
            )  # fmt: skip
            failure = done.stderr if done.returncode else None
            told: dict[str, Any] = {"printed": done.stdout, "failure": failure}
        else:
            told = self._told(example.language, code, folder)
        if told["failure"] is not None:
            raise AssertionError(f"{example.code}\n{told['printed']}{told['failure']}")
        printed: str = told["printed"]
        return printed.replace(place, USUAL_PLACE)

    def _told(self, language: str, code: str, folder: Path) -> dict[str, Any]:
        self._count += 1
        path = folder / f"example{self._count}{'.py' if language == 'python' else '.mjs'}"
        path.write_text(code)
        if "./client.js" in code:
            shutil.copytree(STATIC / "client", folder / "client", dirs_exist_ok=True)
            shutil.copy(STATIC / "client.js", folder)
            shutil.copy(STATIC / "package.json", folder)
        process = self._process(language)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{path}\n")
        process.stdin.flush()
        answer = process.stdout.readline()
        assert answer, f"It ended the process of all examples in {language}:\n{code}"
        told: dict[str, Any] = json.loads(answer)
        return told

    def _process(self, language: str) -> subprocess.Popen[str]:
        language = {"js": "javascript"}.get(language, language)
        if language not in self._processes:
            command = {
                "python": [sys.executable, str(HERE / "examplerunner.py")],
                # Node 22 has WebSocket without being asked for it.
                "javascript": ["node", "--experimental-websocket", str(HERE / "examplerunner.mjs")],
            }[language]
            self._processes[language] = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                env=_environment(),
            )  # fmt: skip
        return self._processes[language]


def _environment() -> dict[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return os.environ | {"NO_PROXY": "127.0.0.1", "NODE_NO_WARNINGS": "1", "PATH": path}


def shown(example: Example, output: str) -> str:
    """An output as it stands in a document."""
    if example.kind == "json":
        output = indented(json.loads(output))
    lines = [line.rstrip() for line in output.rstrip().splitlines()]
    return "\n".join(lines) + "\n"


def indented(value: Any, room: int = _WIDTH, depth: int = 0) -> str:
    """JSON of which whatever fits is in one line."""
    line = json.dumps(value, ensure_ascii=False)
    if len(line) <= room or not value or not isinstance(value, dict | list):
        return line
    begin, inner = " " * 2 * depth, " " * 2 * (depth + 1)
    if isinstance(value, dict):
        names = [f"{json.dumps(name, ensure_ascii=False)}: " for name in value]
        parts = [
            name + indented(item, _WIDTH - len(inner) - len(name) - 1, depth + 1)
            for name, item in zip(names, value.values(), strict=True)
        ]
    else:
        parts = [indented(item, _WIDTH - len(inner) - 1, depth + 1) for item in value]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return f"{opening}\n{inner}" + f",\n{inner}".join(parts) + f"\n{begin}{closing}"


VOLATILE: Final = {
    "ids": r"(?<=run_|msg_)[0-9A-Z]{26}|(?<=resp_)[0-9A-Z]{26}|(?<=chatcmpl-)[0-9A-Z]{26}"
    r"|(?<=claim_)[0-9a-f]{20}|(?<=req_)[0-9a-f]{20}|(?<=\bc_)[0-9a-f]{20}",
    "keys of the cache": r"\b[0-9a-f]{64}\b",
    "hashes of templates": r'(?<=@)[0-9a-f]{16}\b|(?<="hash": ")[0-9a-f]{16}\b',
    "tickets": r'(?<="ticket": ")\w+|(?<="ticket\.)[\w-]+|(?<="subprotocol": ")[\w.-]+',
    "times": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(\+00:00|Z)|(?<=\nDate: ).*",
    "moments and spans": r'(?<=_ms": )\d+|(?<=_ms":)\d+|(?<=_seconds": )[\d.]+|(?<=_at": )\d+'
    r'|(?<="p\d\d": )\d+|(?<="created":)\d+|(?<="created": )\d{9,}',
    "sizes that the digits of spans make": r'(?<=bytes": )\d+',
    "the release, and how many models llm's has": r'(?<="version": ")[\d.]+|(?<="count": )\d+',
}
"""What an output has that differs each time: it is not compared."""


def masked(output: str) -> list[str]:
    """The lines of an output, without what differs each time."""
    for pattern in VOLATILE.values():
        output = re.sub(pattern, "*", output)
    return output.splitlines()


def exactly(example: Example) -> Form:
    """Everything an example prints, but for what is `VOLATILE`."""
    if example.kind != "json":
        return lambda output: masked(shown(example, output))
    return lambda output: masked(json.dumps(json.loads(output or "null"), indent=1))


def in_any_order(output: str) -> list[str]:
    """Every line, whenever it came."""
    return sorted(output.splitlines())


def shape(output: str) -> list[str]:
    """What of an output is the same each time: keys, kinds and plain words, not values."""
    found = re.findall(r'"(\w+)":|^(--.*|<-.*?run\.\w+|.*without a hole)', output, re.MULTILINE)
    return sorted({key or re.sub(r"[\d-]+", "#", line) for key, line in found})


def outline(output: str) -> list[str]:
    """The first word of each line, numbers as #, repetitions left out: lists of any length."""
    words = [re.sub(r"\d+", "#", line.split()[0]) for line in output.splitlines() if line.strip()]
    return [word for word, before in zip(words, ["", *words], strict=False) if word != before]
