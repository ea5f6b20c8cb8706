"""The parent of several workers, told to end at the worst moments."""

import subprocess
import sys

import pytest

TOLD = """
import os, signal, sys
from llm_stream.web.workers import fork_workers

def tell_once():
    global told
    if not told and os.getpid() == parent:
        told = True
        os.kill(parent, signal.SIGTERM)

told, parent = False, os.getpid()
wait, mask = os.wait, signal.pthread_sigmask
"""
AFTER_WAIT = """
def wait_and_tell():
    ended = wait()
    tell_once()
    return ended

os.wait = wait_and_tell
fork_workers(1)
os._exit(0)
"""
BEFORE_MASK = """
def tell_and_mask(how, signals):
    if how == signal.SIG_BLOCK:
        tell_once()
    return mask(how, signals)

signal.pthread_sigmask = tell_and_mask
fork_workers(1)
signal.alarm(30)
signal.pause()
"""


@pytest.mark.parametrize("moment", [AFTER_WAIT, BEFORE_MASK], ids=["after wait", "before fork"])
def test_a_signal_at_any_moment_ends_all(moment: str) -> None:
    """A SIGTERM as a worker has just ended, or right before one is started, leaves nobody."""
    ended = subprocess.run(
        [sys.executable, "-c", TOLD + moment],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )

    assert (ended.returncode, ended.stderr) == (0, "")
