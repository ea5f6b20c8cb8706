"""llm's own command line, on a database of the tests."""

import asyncio
import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner
from llm.cli import cli


async def llm_logs(folder: Path, *arguments: str) -> str:
    """What `llm logs` of this LLM_USER_PATH prints."""
    # Not by a process of its own, which takes a second to import what is imported here.
    done = await asyncio.to_thread(
        CliRunner().invoke, cli, ["logs", *arguments], env={"LLM_USER_PATH": str(folder)}
    )
    assert done.exit_code == 0, done.output
    return done.stdout


async def llm_rows(folder: Path, *arguments: str) -> list[dict[str, Any]]:
    """What `llm logs --json` of this LLM_USER_PATH says, oldest first."""
    rows: list[dict[str, Any]] = json.loads(await llm_logs(folder, "--json", "-n", "0", *arguments))
    return rows
