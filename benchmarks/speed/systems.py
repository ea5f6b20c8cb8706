"""The systems under test: how each is started, asked and looked at."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.speed.readers import Dialect

ROOT: Final = Path(__file__).parents[2]
TICKS: Final = os.sysconf("SC_CLK_TCK")
START_SECONDS: Final = 60.0


def native(prompt: str, model: str, _stream: bool) -> bytes:  # noqa: FBT001 - of `Dialect`
    """A body of ours."""
    return json.dumps({"model": f"fake/{model}", "prompt": prompt}).encode()


def openai(prompt: str, model: str, stream: bool) -> bytes:  # noqa: FBT001 - of `Dialect`
    """A body of OpenAI's."""
    messages = [{"role": "user", "content": prompt}]
    return json.dumps({"model": model, "messages": messages, "stream": stream}).encode()


NATIVE: Final = Dialect(
    "/v1/generate", b'"type":"text.delta"', b"run.completed", b"\r\n0\r\n\r\n", "", native
)
OPENAI: Final = Dialect(
    "/v1/chat/completions", b'"content":" lorem"', b"[DONE]", b"\r\n0\r\n\r\n",
    "Authorization: Bearer none\r\n", openai,
)  # fmt: skip
# With a space behind the colon, as `json.dumps` writes.
SPACED: Final = OPENAI._replace(token=b'"content": " lorem"')


class Running(NamedTuple):
    """A system that listens."""

    name: str
    dialect: Dialect
    port: int
    pid: int

    def cpu_seconds(self) -> float:
        """What its processes have used so far."""
        return sum(_cpu(pid) for pid in family(self.pid))

    def resident_bytes(self, *, peak: bool = False) -> int:
        """Memory of its processes, now or at most so far."""
        return sum(_resident(pid, "VmHWM" if peak else "VmRSS") for pid in family(self.pid))


def _cpu(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS


def _resident(pid: int, what: str) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text("utf-8")
    except OSError:
        return 0
    return int(status.partition(f"{what}:")[2].split(maxsplit=1)[0]) * 1024


def family(pid: int) -> Iterator[int]:
    """A process and those that it and its children have started."""
    yield pid
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
    except OSError:
        return
    for child in children:
        yield from family(int(child))


def free_port() -> int:
    """A port that nobody has just now."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port: int = held.getsockname()[1]
    return port


@contextmanager
def process(
    command: Sequence[str], core: int, log: Path, environment: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process on one core, ended when the block is left."""
    with log.open("wb") as out:
        started = subprocess.Popen(  # noqa: S603 - commands of this module
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=out,
            env={**os.environ, **(environment or {})},
        )  # fmt: skip
    os.sched_setaffinity(started.pid, {core % (os.cpu_count() or 1)})
    try:
        yield started
    finally:
        started.terminate()
        try:
            started.wait(20)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()


def wait_for(port: int, running: subprocess.Popen[bytes], log: Path) -> None:
    """Return when the port is listened to.

    Raises:
        RuntimeError: the process has ended, or it takes too long.
    """
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and running.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise RuntimeError(f"It does not listen: {log.read_text()[-2000:]}")


CONFIG: Final = """
[server]
port = {port}
workers = {workers}
drain_seconds = 1
[models]
plugins = []
default = "fake/burst-16"
[local]
enabled = false
[limits]
concurrent_runs = 20000
queued_runs = 20000
late_seconds = 0
connection_concurrent_runs = 1000
connection_queued_runs = 1000
connection_streams = 1000
[history]
path = "{folder}/logs.db"
[logging]
level = "info"
format = "json"
[providers.fake]
kind = "openai"
base_url = "http://127.0.0.1:{upstream}/v1"
api_key_env = []
{more}
"""


@contextmanager
def ours(
    upstream: int, folder: Path, *, core: int = 0, workers: int = 1, more: str = ""
) -> Iterator[Running]:
    """The service: history, cache, metrics and a log of every request on, as it is by default."""
    port = free_port()
    config = folder / "config.toml"
    config.write_text(
        CONFIG.format(port=port, upstream=upstream, folder=folder, workers=workers, more=more)
    )
    command = [sys.executable, "-m", "llm_stream", "serve", "--config", str(config)]
    environment = {"LLM_USER_PATH": str(folder)}
    log = folder / "ours.log"
    with process(command, core, log, environment) as started:
        wait_for(port, started, log)
        yield Running("llm-stream", NATIVE, port, started.pid)


@contextmanager
def other(name: str, upstream: int, folder: Path) -> Iterator[Running]:
    """A system of `benchmarks.speed.others`."""
    port = free_port()
    command = [
        sys.executable, "-m", "benchmarks.speed.others", name,
        "--port", str(port), "--upstream", str(upstream),
    ]  # fmt: skip
    log = folder / f"{name}.log"
    with process(command, 0, log) as started:
        wait_for(port, started, log)
        yield Running(name, SPACED if name == "llm" else OPENAI, port, started.pid)


LITELLM: Final = """
model_list:
  - model_name: "*"
    litellm_params: {{model: "openai/*", api_base: "http://127.0.0.1:{upstream}/v1", api_key: none}}
"""


@contextmanager
def litellm(upstream: int, folder: Path, binary: str) -> Iterator[Running]:
    """LiteLLM's proxy, from an environment of its own."""
    port = free_port()
    config = folder / "litellm.yaml"
    config.write_text(LITELLM.format(upstream=upstream))
    command = [binary, "--config", str(config), "--port", str(port), "--host", "127.0.0.1"]
    log = folder / "litellm.log"
    with process(command, 0, log, {"LITELLM_LOG": "ERROR"}) as started:
        wait_for(port, started, log)
        yield Running("litellm", OPENAI, port, started.pid)
