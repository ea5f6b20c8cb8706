"""The installed program as a process of its own, for tests that see only what a person sees."""

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Served:
    """A running `llm-stream serve`: its address and the process."""

    url: str
    process: subprocess.Popen[str]
    banner: str


def environment(home: Path) -> dict[str, str]:
    """This process' environment without settings, keys and caches of whoever runs the tests."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("LLM_")}
    return own | {"HOME": str(home), "LLM_USER_PATH": str(home), "XDG_CACHE_HOME": str(home)}


@contextmanager
def serving(
    program: Path,
    *arguments: str,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    stderr: int | None = None,
) -> Iterator[Served]:
    """Start `program serve` on a free port; kill it on leaving, should it still run.

    Its log goes to a file, or to the descriptor `stderr`.
    """
    with (
        (cwd / "stderr.log").open("w+") as log,
        subprocess.Popen(
            [program, "serve", "--port", "0", *arguments],
            cwd=cwd,
            env=environment(cwd) | {"LLM_STREAM__LIMITS__LATE_SECONDS": "0"} | dict(env or {}),
            stdout=subprocess.PIPE,
            stderr=log if stderr is None else stderr,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if found := re.search(r"http://\S+:\d+", line):
                    yield Served(found[0], process, line)
                    break
            else:
                log.seek(0)
                pytest.fail(f"serve ended with {process.wait()}: {log.read()[-2000:]}")
        finally:
            process.kill()
