"""What the documents show beside examples with outputs: run or read too, or said why not."""

import asyncio
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest

from llm_stream.config import load
from llm_stream.recipes.prompts import PromptLibrary
from llm_stream.resources import resource
from llm_stream.web.bodies import GenerateBody, validate
from llm_stream.web.problems import TABLE

from .documents import Block, Example, ExampleRunner, blocks
from .documentservice import shop_service

ROOT = Path(__file__).parent.parent
PAGES = [*sorted(resource("docs").glob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]

NOT_RUN: Final = {
    "make ": "installs; tests/test_packaging.py does, and CI",
    "git clone": "installs, as above",
    "pip install": "installs; tests/test_packaging.py does from the wheel",
    " web/rest": "a drawing",
    "__main__, cli": "the layers; tests/test_architecture.py holds the code against them",
    "useradd": "changes the machine; tests/deploy/test_host.py has the unit",
    "as_service()": "needs the user of the unit",
    "docker ": "needs a container engine; tests/deploy/test_compose.py reads the files",
    "FROM ": "needs a container engine; tests/deploy/test_image.py reads it",
    "LLM_STREAM__AUTH__CLIENTS_FILE=clients.toml": "needs a cluster",
    "systemctl": "needs systemd",
    "# llm-stream behind": "tests/deploy/test_proxies.py runs it",
    "scrape_configs": "is Prometheus'; tests/deploy/test_compose.py reads the deployed one",
    "cores  = ": "a formula",
    "id: 1-7": "an event that stands in the document as JSON too",
    '<- {"type"': "frames that are cut short; tests/web/test_ws.py has them",
    "llm-stream keys": "asks for keys and for providers; tests/test_keycommands.py runs it",
    "llm-stream serve": "serves until it is stopped; tests/process.py starts it",
    "const client = new Client(undefined": "is a page's; tests/page has one that does this",
    'import { Client } from "https://llm': "is a page's, as above",
    "sequenceDiagram": "a drawing; `make docs` draws it",
    "curl -s http://127.0.0.1:8080/openapi.json -o": "fetches a generator",
    'eval "$(llm-stream completion': "is a shell's; tests/test_completing.py evaluates it",
    "llm -t stream:": "asks a real model; tests/test_plugin.py has the templates",
    "seed: 7": "tests/test_documents.py reads it",
}
"""How a block begins -> why it is not run here."""

FOUND = [(page.name, block) for page in PAGES for block in blocks(page.read_text())]
RUN = [
    pytest.param(block, id=f"{name}-{block.code[:24]!r}")
    for name, block in FOUND
    if not block.code.startswith(tuple(NOT_RUN))
]


def test_every_reason_is_that_of_a_block() -> None:
    """No reason outlives what it was for."""
    unused = [
        begin for begin in NOT_RUN if not any(block.code.startswith(begin) for _, block in FOUND)
    ]

    assert unused == []


def read_toml(block: Block, folder: Path) -> None:
    """A part of a configuration file can be loaded."""
    path = folder / "config.toml"
    path.write_text(block.code)
    load(path)


def read_template(block: Block, folder: Path) -> None:
    """A template can be loaded."""
    (folder / "own.yaml").write_text(block.code)
    assert PromptLibrary.load(folder).find("own").variables


def read_json(block: Block, _folder: Path) -> None:
    """A request is one; a problem is as the table of errors has it; an event has what all have."""
    value: dict[str, Any] = json.loads(block.code)
    if "code" in value:
        (row,) = [row for error, row in TABLE.items() if error.code == value["code"]]
        assert (row.status, row.title) == (value["status"], value["title"])
    elif "type" in value:
        assert {"id", "run", "t_ms"} <= set(value)
    else:
        validate(GenerateBody, value)


def set_variables(block: Block, _folder: Path) -> None:
    """Variables of a service have names and values that it takes."""
    with pytest.MonkeyPatch.context() as patch:
        for word in shlex.split(block.code, comments=True):
            patch.setenv(*word.split("=", 1))
        load()


def run_commands(block: Block, _folder: Path) -> None:
    """Each command ends well, one after the other; plugins that it loads are of its process."""
    modules = {"llm-stream": "llm_stream", "llm": "llm"}
    for line in block.code.splitlines():
        program, *arguments = shlex.split(line, comments=True)
        command = [sys.executable, "-m", modules[program], *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"


async def look_at_history(block: Block, folder: Path) -> None:
    """llm's own commands show what a service did whose history is where llm looks for it."""
    history = Path(os.environ["LLM_USER_PATH"])
    async with shop_service(history) as service, aiohttp.ClientSession() as http:
        await http.post(f"{service.url}/v1/generate", json={"prompt": "Say hello."})
    await asyncio.to_thread(run_commands, block, folder)


async def call_service(block: Block, folder: Path) -> None:
    """Calls are answered with 2xx."""
    code = f'curl() {{ command curl -sS --fail-with-body "$@"; }}\n{block.code}'
    example = Example("bash", code, "", "", (0, 0))
    async with shop_service(folder) as service:
        assert await asyncio.to_thread(ExampleRunner().run, example, service.url, folder)


Reader = Callable[[Block, Path], Awaitable[None] | None]
READERS: Final[dict[str, Reader]] = {
    "LLM_STREAM__": set_variables, "llm-stream": run_commands, "llm ": look_at_history,
    "curl ": call_service,
}  # fmt: skip
"""By how a block begins."""
OF_LANGUAGE: Final[dict[str, Reader]] = {
    "toml": read_toml, "yaml": read_template, "json": read_json,
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("block", RUN)
async def test_a_block_can_be_used(
    block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Configuration loads, requests are valid, commands end well: as its reader says."""
    user = tmp_path / "llm"
    user.mkdir()
    monkeypatch.setenv("LLM_USER_PATH", str(user))
    monkeypatch.setenv("LLM_STREAM_KEY", "any")
    readers = [reader for begin, reader in READERS.items() if block.code.startswith(begin)]
    readers += [OF_LANGUAGE[block.language]] if block.language in OF_LANGUAGE else []
    assert readers, "neither run nor in NOT_RUN"
    if (reading := readers[0](block, tmp_path)) is not None:
        await reading
