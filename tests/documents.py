"""Examples in the documents: found, run against a service, compared with what is written."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from llm_stream.resources import resource

DEFAULT_ADDRESS = "http://127.0.0.1:8080"
COMMANDS = {
    "bash": ["bash", "-eu"],
    "js": ["node", "--input-type=module", "-"],
    "python": [sys.executable, "-"],
}
_BLOCK = re.compile(r"```(bash|python|js)\n(.*?)```\n\n```(?:text)?\n(.*?)```", re.DOTALL)


@dataclass(frozen=True)
class Example:
    """A block of code and the output that stands below it; `span` is where that is."""

    language: str
    code: str
    output: str
    span: tuple[int, int]


def examples(text: str) -> list[Example]:
    """All examples of a document that have an output."""
    return [Example(found[1], found[2], found[3], found.span(3)) for found in _BLOCK.finditer(text)]


def run(example: Example, address: str, folder: Path) -> str:
    """Run an example against the service at `address`; its output with the usual address."""
    code = example.code.replace(DEFAULT_ADDRESS, address).replace("/tmp", str(folder))
    if example.language == "js":
        shutil.copytree(resource("static"), folder, dirs_exist_ok=True)
    command = COMMANDS[example.language]
    done = subprocess.run(
        command, input=code, capture_output=True, text=True, check=False, timeout=100,
        env=os.environ | {"NO_PROXY": "127.0.0.1"}, cwd=folder,
    )  # fmt: skip
    if done.returncode:
        raise AssertionError(f"exit {done.returncode}\n{example.code}\n{done.stdout}{done.stderr}")
    return done.stdout.replace(address, DEFAULT_ADDRESS)


def shape(output: str) -> list[str]:
    """What of an output is the same each time: keys, kinds and plain words, not values."""
    found = re.findall(r'"(\w+)":|^(--.*|<-.*?run\.\w+|.*without a hole)', output, re.MULTILINE)
    return sorted({key or re.sub(r"[\d-]+", "#", line) for key, line in found})


def outline(output: str) -> list[str]:
    """The first word of each line, numbers as #, repetitions left out: lists of any length."""
    words = [re.sub(r"\d+", "#", line.split()[0]) for line in output.splitlines() if line.strip()]
    return [word for word, before in zip(words, ["", *words], strict=False) if word != before]
