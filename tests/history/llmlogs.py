"""llm's own command line, on a database of the tests."""

import asyncio
import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from llm_stream.models.plugins import load_plugins


async def llm_logs(folder: Path, *arguments: str) -> str:
    """What `llm logs` of this LLM_USER_PATH prints."""
    # Not by a process of its own, which takes a second to import what is imported here.
    done = await asyncio.to_thread(_invoke, folder, arguments)
    assert done.exit_code == 0, done.output
    return done.stdout


def _invoke(folder: Path, arguments: tuple[str, ...]) -> Result:
    # The import loads all plugins there are, and other tests want none, unless that is done.
    load_plugins(())
    from llm.cli import cli  # noqa: PLC0415 - see above

    return CliRunner().invoke(cli, ["logs", *arguments], env={"LLM_USER_PATH": str(folder)})


async def llm_rows(folder: Path, *arguments: str) -> list[dict[str, Any]]:
    """What `llm logs --json` of this LLM_USER_PATH says, oldest first."""
    rows: list[dict[str, Any]] = json.loads(await llm_logs(folder, "--json", "-n", "0", *arguments))
    return rows
