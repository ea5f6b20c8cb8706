"""Processes under test: started on cores of their own, looked at from outside, ended."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.speed.readers import Dialect

ROOT: Final = Path(__file__).parents[2]
START_SECONDS: Final = 60.0
QUIET_SHARE: Final = 0.05
"""Of one core; a process that wants less, look after look, has nothing left to do."""

QUIET_LOOKS: Final = 6
QUIET_SECONDS: Final = 0.05
"""So long in all that what the service does 0.2 seconds later, its history, is counted too."""


class Running(NamedTuple):
    """A system that listens."""

    name: str
    dialect: Dialect
    port: int
    pid: int
    upstream: int

    def cpu_seconds(self) -> float:
        """What its processes have used so far."""
        return sum(cpu_seconds(pid) for pid in family(self.pid))

    def resident_bytes(self, *, peak: bool = False) -> int:
        """Memory of its processes, now or at most since `forget_peak`."""
        return sum(_resident(pid, "VmHWM" if peak else "VmRSS") for pid in family(self.pid))

    def forget_peak(self) -> None:
        """From now on a peak is that of what comes."""
        for pid in family(self.pid):
            Path(f"/proc/{pid}/clear_refs").write_text("5", "ascii")

    def settle(self, seconds: float = 20.0) -> bool:
        """Wait until it does nothing any more, so that its work is counted where it belongs.

        Returns whether it came to that within so many seconds.
        """
        until, quiet = time.monotonic() + seconds, 0
        while time.monotonic() < until:
            began, before = time.monotonic(), self._wanted_seconds()
            time.sleep(QUIET_SECONDS)
            wanted = self._wanted_seconds() - before
            quiet = quiet + 1 if wanted < QUIET_SHARE * (time.monotonic() - began) else 0
            if quiet == QUIET_LOOKS:
                return True
        return False

    def _wanted_seconds(self) -> float:
        # With the time it waited for its core, so that one who gets none does not look idle.
        return sum(_wanted(pid) for pid in family(self.pid))


def cpu_seconds(pid: int) -> float:
    """CPU time of a process to the nanosecond, threads that have ended included; 0 if it is gone.

    /proc/PID/stat counts in ticks of 10 ms, and /proc/PID/task/*/schedstat forgets a thread with
    its end; this is the clock that `clock_getcpuclockid(3)` names.
    """
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return 0.0


def _wanted(pid: int) -> float:
    found = 0
    for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        try:
            ran, waited, _times = path.read_text("ascii").split()
        except OSError:
            continue  # the thread has ended
        found += int(ran) + int(waited)
    return found / 1e9


def _resident(pid: int, what: str) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text("utf-8")
    except OSError:
        return 0
    found = status.partition(f"{what}:")[2].split(maxsplit=1)
    return int(found[0]) * 1024 if found else 0


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
    command: Sequence[str], cores: set[int], log: Path, environment: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process on these cores, ended when the block is left."""
    here = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)  # what it starts at once is there as well
    try:
        with log.open("wb") as out:
            started = subprocess.Popen(  # noqa: S603 - commands of this package
                command, cwd=ROOT, stdout=out, stderr=out,
                env={**os.environ, **(environment or {})},
            )  # fmt: skip
    finally:
        os.sched_setaffinity(0, here)
    try:
        yield started
    finally:
        started.terminate()
        try:
            started.wait(20)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()


def wait_for(port: int, running: subprocess.Popen[bytes], log: Path, ready: str = "") -> None:
    """Return when the port is listened to, or when that path answers 200.

    Raises:
        RuntimeError: the process has ended, or it takes too long.
    """
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and running.poll() is None:
        try:
            if not ready:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            if got(port, ready)[0] == 200:
                return
        except OSError:
            pass
        time.sleep(0.005)
    raise RuntimeError(f"It does not listen: {log.read_text()[-2000:]}")


def got(port: int, path: str, body: bytes | None = None, **more: str) -> tuple[int, bytes]:
    """Status and body of one request; a POST if there is something to send, `more` are headers."""
    http = HTTPConnection("127.0.0.1", port, timeout=START_SECONDS)
    headers = {"Content-Type": "application/json", "Authorization": "Bearer none", **more}
    try:
        http.request("GET" if body is None else "POST", path, body, headers)
        answer = http.getresponse()
        return answer.status, answer.read()
    finally:
        http.close()
