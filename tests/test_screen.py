"""What goes to which stream, on terminals and into pipes."""

import errno
import io
import os
import sys
import termios
from collections.abc import Callable
from typing import Any

import pytest

from llm_stream.cli.configured import Refused
from llm_stream.cli.progress import Progress
from llm_stream.cli.screen import Screen


class Stream(io.TextIOWrapper):
    """A terminal, or a pipe."""

    def __init__(self, *, terminal: bool, encoding: str = "utf-8") -> None:
        super().__init__(io.BytesIO(), encoding, write_through=True)
        self.terminal = terminal

    def isatty(self) -> bool:
        """Whether it is one."""
        return self.terminal

    def said(self) -> str:
        """Everything that was written to it."""
        buffer: Any = self.buffer
        return str(buffer.getvalue().decode(self.encoding))


Streams = Callable[..., tuple[Stream, Stream]]


@pytest.fixture
def streams(monkeypatch: pytest.MonkeyPatch) -> Streams:
    """Replaces standard output and error."""

    def replace(*, out: bool, err: bool, encoding: str = "utf-8") -> tuple[Stream, Stream]:
        made = Stream(terminal=out, encoding=encoding), Stream(terminal=err)
        monkeypatch.setattr(sys, "stdout", made[0])
        monkeypatch.setattr(sys, "stderr", made[1])
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", "60")
        monkeypatch.delenv("NO_COLOR", raising=False)
        return made

    return replace


def test_a_pipe_gets_what_was_written(streams: Streams) -> None:
    """Its bytes, and no colours; standard error is silent if it is no terminal."""
    out, err = streams(out=False, err=False)
    screen = Screen()

    screen.status("working")
    screen.write("\x1b[2Jtext")
    screen.note("by the way")
    screen.styled("head", bold=True)

    assert out.said() == "\x1b[2Jtext\nhead\n"
    assert err.said() == ""
    assert screen.columns == 80


def test_a_terminal_is_not_steered(streams: Streams) -> None:
    """What it would obey is replaced; our own colours are there."""
    out, _ = streams(out=True, err=True)
    screen = Screen()

    screen.write("\x1b[2Jtext")
    screen.styled("head", bold=True)

    assert out.said() == "\ufffd[2Jtext\n\x1b[1mhead\x1b[0m\n"
    assert screen.columns == 60


def test_json_steers_no_terminal_either(streams: Streams) -> None:
    """What JSON leaves as it is and a terminal would obey is replaced there, and only there."""
    out, _ = streams(out=True, err=True)
    Screen().raw('"\x9b2J"'.encode())
    piped, _ = streams(out=False, err=True)
    Screen().raw('"\x9b2J"'.encode())

    assert (out.said(), piped.said()) == ('"\ufffd2J"\n', '"\x9b2J"\n')


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colours_can_be_switched_off(
    streams: Streams, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """By the variable for it, or a terminal that has none."""
    out, _ = streams(out=True, err=True)
    monkeypatch.setenv(name, value)

    Screen().styled("head", bold=True)

    assert out.said() == "head\n"


def test_progress_makes_room(streams: Streams) -> None:
    """Its line is erased before anything is written, and never stands in the middle of a text."""
    out, err = streams(out=True, err=True)
    screen = Screen()

    screen.status("working " * 20)
    assert err.said().startswith("\r\x1b[Kworking working")
    assert len(err.said().removeprefix("\r\x1b[K")) < 60
    screen.write("text")
    drawn = err.said()
    assert drawn.endswith("\r\x1b[K")
    screen.tick()
    assert err.said() == drawn
    screen.note("aside")
    screen.status("again")
    screen.close()

    assert out.said() == "text\n"
    assert err.said().removeprefix(drawn) == "aside\n\r\x1b[Kagain, 0 s\r\x1b[K"


def test_progress_is_one_line(streams: Streams) -> None:
    """Titles come from models; what stands on a second line could not be erased."""
    _, err = streams(out=True, err=True)

    Screen().status("Pay\n\tby card")

    assert err.said() == "\r\x1b[KPay by card, 0 s"


def test_progress_is_as_wide_as_its_own_terminal(
    streams: Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where standard output is a file, say; what is on a second row could not be erased."""
    streams(out=False, err=False)
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (24, 30))
    with os.fdopen(ours, "rb", buffering=0) as terminal, os.fdopen(theirs, "w") as err:
        monkeypatch.setattr(sys, "stderr", err)
        Screen().status("working " * 20)
        said = terminal.read(1000).decode()

    assert said == "\r\x1b[Kworking working working wo..."


class Full(io.RawIOBase):
    """What has no room, as a disk."""

    def writable(self) -> bool:
        """It seems so."""
        return True

    def write(self, _data: object) -> int:
        """It is not."""
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_what_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Results that find no room are an error in words; a full log is no reason to lose them."""
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BufferedWriter(Full())))
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(io.BufferedWriter(Full())))
    screen = Screen(verbose=True)

    screen.note("aside")
    with pytest.raises(Refused, match="standard output: No space left on device"):
        screen.write("text")


def test_streams_may_be_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """`>&-` and `2>&-` leave none; whoever asks so wants to hear nothing."""
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    screen = Screen(verbose=True)

    screen.write("text")
    screen.raw(b"{}")
    screen.note("aside")
    screen.close()

    assert not screen.is_terminal


def test_quiet_leaves_errors_only(streams: Streams) -> None:
    """No progress and no asides, on a terminal neither."""
    _, err = streams(out=True, err=True)
    screen = Screen(quiet=True, verbose=True)

    screen.status("working")
    screen.note("aside")
    screen.complain("wrong")

    assert err.said() == "wrong\n"


def test_what_an_encoding_lacks_is_replaced(streams: Streams) -> None:
    """A terminal without Unicode gets a question mark, and not a traceback."""
    out, _ = streams(out=False, err=False, encoding="ascii")

    Screen().write("n\u00e9e")

    assert out.said() == "n?e"


def test_progress_tells_what_a_run_does(streams: Streams) -> None:
    """Queue, steps, pieces, failed attempts and a new beginning."""
    _, err = streams(out=False, err=True)
    progress = Progress(Screen())
    next_one = {"model": "b", "delay_ms": 10}
    error = {"detail": "It was busy."}

    for told in (
        {"type": "run.started", "recipe": "breakdown", "model": "a", "cache": "joined"},
        {"type": "run.queued", "position": 2},
        {"type": "attempt.failed", "attempt": 1, "model": "a", "error": error, "next": next_one},
        {"type": "step.started", "step": "s", "title": "Plan"},
        {"type": "item.completed", "path": "tasks/0", "value": {"title": "Pay"}},
        {"type": "run.restarted", "reason": "invalid_output"},
        {"type": "reasoning.delta", "text": "Hm."},
        {"type": "unheard.of"},
    ):
        progress.tell(told)

    said = err.said()
    assert [part for part in said.replace("\n", "\r\x1b[K").split("\r\x1b[K") if part] == [
        "breakdown by a, joined, 0 s",
        "breakdown by a, joined: place 2 in the queue, 0 s",
        "attempt 1: It was busy.; b next",
        "breakdown by a, joined: Plan, 0 s",
        "breakdown by a, joined, tasks 1: Pay, 0 s",
        "the answer begins anew (invalid_output); what came before is void",
        "breakdown by a, joined: thinking, 0 s",
    ]
