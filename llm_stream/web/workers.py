"""Several processes that serve one port, and the parent that keeps them: started, told, replaced.

The kernel spreads connections over their sockets (SO_REUSEPORT). The parent serves nobody.
"""

import os
import signal
import sys
import time
from collections import deque
from contextlib import suppress
from typing import Final, NamedTuple, NoReturn

import structlog

CRASHES: Final = 5
"""So many workers may crash within `CRASH_SECONDS`; at the next one all are told to end."""

CRASH_SECONDS: Final = 60.0

PAUSE_SECONDS: Final = 0.5
"""How long a crashed worker's place stays empty."""

log = structlog.get_logger("llm_stream.workers")


class Worker(NamedTuple):
    """What a worker is told: whether it tells people the address, and how it notices the end.

    `lifeline` is a descriptor that becomes readable when the parent is gone.
    """

    speaks: bool
    lifeline: int


def fork_workers(count: int) -> Worker:
    """Become `count` processes; returns in each of them, never in the parent.

    The parent forwards SIGTERM and SIGINT, starts a worker anew that ends without having been
    told, and exits when all have ended: with 0, or with 1 if they crash too often. Call it before
    any thread or event loop.
    """
    here, there = os.pipe()
    parent = _Parent(count, here, there)
    worker = parent.keep()
    # Only the parent holds this end: when it is gone, however that came, the pipe closes.
    os.close(there)
    return worker


class _Parent:
    def __init__(self, count: int, here: int, there: int) -> None:
        self._count = count
        self._lifeline = here
        self._held = there
        self._pids: set[int] = set()
        self._crashes: deque[float] = deque()
        self._stopping = False
        self._code = 0

    def keep(self) -> Worker:
        """Start and replace workers until all have ended; returns in the workers."""
        signals = (signal.SIGTERM, signal.SIGINT)
        for number in signals:
            signal.signal(number, self._forward)
        for place in range(self._count):
            if self._fork():
                return self._become(speaks=place == 0)
        while self._pids:
            pid, status = os.wait()
            self._pids.discard(pid)
            crashed = os.waitstatus_to_exitcode(status) != 0
            if crashed and not self._stopping:
                if self._gives_up():
                    self._code = 1
                    self._forward(signal.SIGTERM)
                else:
                    time.sleep(PAUSE_SECONDS)
            if not self._stopping and self._fork():
                return self._become(speaks=False)
        return self._leave()

    def _fork(self) -> bool:
        """Start a worker; whether this is it."""
        # A signal between the fork and the child's own handlers has to reach the child as one.
        asked = {signal.SIGTERM, signal.SIGINT}
        signal.pthread_sigmask(signal.SIG_BLOCK, asked)
        if self._stopping:
            # Asked just now: who is started would never be told.
            signal.pthread_sigmask(signal.SIG_UNBLOCK, asked)
            return False
        pid = os.fork()
        if pid:
            self._pids.add(pid)
        else:
            # A group of its own: Ctrl-C in a terminal reaches the parent, which forwards it.
            os.setpgid(0, 0)
            for number in asked:
                signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, asked)
        if pid:
            log.info("worker.started", worker=pid)
        return not pid

    def _become(self, *, speaks: bool) -> Worker:
        self._pids.clear()
        return Worker(speaks, self._lifeline)

    def _forward(self, number: int, _frame: object = None) -> None:
        self._stopping = True
        for pid in self._pids:
            # One that has ended is there until it was waited for, which may just have happened.
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _gives_up(self) -> bool:
        now = time.monotonic()
        self._crashes.append(now)
        while self._crashes[0] < now - CRASH_SECONDS:
            self._crashes.popleft()
        log.error("worker.crashed", lately=len(self._crashes))
        return len(self._crashes) > CRASHES

    def _leave(self) -> NoReturn:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(self._code)
