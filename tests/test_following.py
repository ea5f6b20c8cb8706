"""How commands read runs: to the end, on from a cursor, and every way it can go wrong."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from llm_stream.testing import Fault, Script, words

from .serving import environment
from .shelled import Shell, judged, shell_of
from .test_cachecommands import answering
from .test_cli import PROGRAM

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """One service for all tests of this file."""
    with shell_of(tmp_path_factory.mktemp("llm")) as shell:
        yield shell


@pytest.fixture
def shell(started: Shell) -> Shell:
    """It, without answers of before."""
    started.forget()
    return started


@contextmanager
def process(shell: Shell, folder: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """`llm-stream` as a process of its own."""
    with subprocess.Popen(
        [PROGRAM, *arguments],
        env=environment(folder) | {"LLM_STREAM_URL": shell.url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=folder,
    ) as running:
        try:
            yield running
        finally:
            running.kill()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_cancels_the_run(
    shell: Shell, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    """What has come by then was printed at once; the model is let go of, and nothing is said."""
    shell.model.respond = lambda _call: Script(chunks=words(9), fault=Fault(at=2, stall=True))
    with process(shell, tmp_path, "run", "Hi") as running:
        assert running.stdout is not None
        first = "".join(words(9)[:2]).encode()
        assert running.stdout.read(len(first)) == first
        running.send_signal(number)
        out, err = running.communicate(timeout=20)

    assert running.returncode == code
    assert (out, err) == (b"", b"")
    assert shell.model.calls[-1].closed.wait(5)
    assert shell.call("GET", "/v1/runs?limit=1")["runs"][0]["state"] == "cancelled"


def test_a_closed_pipe_ends_it_quietly(shell: Shell, tmp_path: Path) -> None:
    """`| head` is no error; the run is wanted no more."""
    shell.model.respond = lambda _call: Script(chunks=("word\n",) * 100_000, delay_seconds=0.001)
    with process(shell, tmp_path, "run", "Hi") as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"word\n"
        running.stdout.close()
        assert running.stderr is not None
        assert running.stderr.read() == b""
        assert running.wait(20) == 141

    assert shell.model.calls[-1].closed.wait(5)


def test_nobody_answers(shell: Shell) -> None:
    """No service is a 6, told at once and in words."""
    with answering({}) as (gone, _):
        pass

    done = shell.run("run", "Hi", "--url", gone.url)

    assert done.exit_code == 6
    assert done.stdout == ""
    assert done.stderr == (
        f"nobody answers at {gone.url}: Connection refused\n"
        "Start it with `llm-stream serve`, or say with --url where it is.\n"
    )
    assert shell.run("run", "Hi", "--detach", "--url", gone.url).exit_code == 6


def test_somebody_else_answers(shell: Shell) -> None:
    """What is no llm-stream is a 6 too."""
    with answering(b"<html>") as (other, _):
        done = shell.run("run", "Hi", "--url", other.url)

    assert done.exit_code == 6
    assert "not llm-stream's" in done.stderr


def test_a_service_without_room_is_waited_for(shell: Shell) -> None:
    """`--wait` starts it again for so long; without it the refusal is told at once."""
    with answering({}, 503) as (busy, server):
        patient = shell.run("run", "Hi", "--url", busy.url, "--wait", "0.3")
        tried = len(server.asked)
        hasty = shell.run("run", "Hi", "--url", busy.url)

    assert (patient.exit_code, hasty.exit_code) == (1, 1)
    assert tried > 1
    assert len(server.asked) == tried + 1


def test_ctrl_c_before_anything_is_asked(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """While standard input is read, say: the same code."""

    def interrupted(_self: object, _said: str) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("llm_stream.cli.material.Material.text", interrupted)

    assert shell.run("run", "-").exit_code == 130


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "Hi", "-m", "nobody"], "(field: model)"),
        (["run", "Hi", "-o", "temperature", "9"], "(field: options.temperature)"),
        (["run", "-t", "nowhere"], "(field: template)"),
        (["run", "--resume", "run_nowhere"], "run_nowhere"),
        (["breakdown", "Build.", "-m", "nobody", "--detach"], "(field: model)"),
        (["run", "Hi", "--url", "ftp://x"], "no address"),
        (["run", "not UTF-8: \udcff"], "cannot be sent as JSON"),
        (["run", "Hi", "-o", "temperature", "1e999"], "cannot be sent as JSON"),
        (["run", "Hi", "--timeout", "nan"], "cannot be sent as JSON"),
        (["run", "Hi", "--schema", '{"minimum": NaN}'], "cannot be sent as JSON"),
    ],
)
def test_a_refusal_is_told_with_its_field(shell: Shell, arguments: list[str], said: str) -> None:
    """The service's own words, and a 1."""
    done = shell.run(*arguments)

    assert (done.exit_code, done.stdout) == (1, "")
    assert said in done.stderr


def test_a_key_is_asked_for(shell: Shell) -> None:
    """Where one is needed, the variable is named in which to put it."""
    with answering({}, 401) as (service, server):
        done = shell.run("run", "Hi", "--url", service.url, "--key", "lls_wrong")

    assert done.exit_code == 1
    assert "LLM_STREAM_KEY" in done.stderr
    assert server.shown == ["Bearer lls_wrong"]


def test_a_run_that_fails(shell: Shell) -> None:
    """What came before is printed, what went wrong is told, and it is a 5."""
    fault = Fault(at=2, error=ValueError("broken"))
    shell.model.respond = lambda _call: Script(chunks=("a", "b", "c"), fault=fault)

    done = shell.run("run", "Hi")
    events = shell.run("run", "Hi", "--events")
    whole = shell.run("run", "Hi", "--json")

    assert [each.exit_code for each in (done, events, whole)] == [5, 5, 5]
    assert (done.stdout, whole.stdout) == ("ab", "")
    assert json.loads(events.stdout.splitlines()[-1])["type"] == "run.failed"
    assert done.stderr


def test_an_answer_that_begins_anew(shell: Shell) -> None:
    """A pipe that has a void part already is told so; whole answers are not harmed."""
    replies = iter([Fault(at=1, error=ValueError("no")), None] * 2)
    shell.model.respond = lambda _call: Script(chunks=("One", "."), fault=next(replies))

    done = shell.run("run", "Hi", "--on-failure", "restart", "-v")
    whole = shell.run("run", "Ho", "--on-failure", "restart", "--json")

    assert done.exit_code == 5, done.stderr
    assert "--json prints whole answers only" in done.stderr
    assert json.loads(whole.stdout)["text"] == "One."


def test_detach_and_resume(shell: Shell) -> None:
    """A run left to itself is read later: whole, or behind a cursor, and twice if need be."""
    shell.says("One", " two", " three.")
    run = shell.run("run", "Count.", "--detach").stdout.strip()
    again = json.loads(shell.run("run", "Count.", "--detach", "--json").stdout)

    whole = shell.run("run", "--resume", run)
    rest = shell.run("run", "--resume", run, "--after", "1-3")
    late = shell.run("run", "--resume", run, "--after", "1-6", "-v")

    assert again["recipe"] == "generate"
    assert whole.stdout == "One two three.\n"
    assert rest.stdout == " three.\n"
    assert (late.exit_code, late.stdout) == (0, "")
    assert "the run has ended" in late.stderr


def test_what_was_detached_can_be_cancelled(shell: Shell) -> None:
    """By its id, from any shell; what has ended stays as it is, what is not there is refused."""
    shell.model.respond = lambda _call: Script(fault=Fault(at=1, stall=True))
    run = shell.run("run", "Hi", "--detach", "--cache", "bypass").stdout.strip()

    done, again = shell.run("cancel", run), shell.run("cancel", run)

    assert (done.exit_code, done.stdout, again.stdout) == (0, "cancelled\n", "cancelled\n")
    assert shell.model.calls[-1].closed.wait(5)
    assert shell.run("run", "--resume", run).exit_code == 5
    assert shell.run("cancel", "run_nowhere").exit_code == 1


def test_what_is_resumed_says_what_it_is(shell: Shell) -> None:
    """A verdict is drawn as one and has its exit code, whichever command follows it."""
    shell.answers(lambda _call: judged("unmet"))
    run = shell.run("evaluate", "s", "-", "-c", "One", "--detach", stdin="x").stdout.strip()

    done = shell.run("run", "--resume", run)

    assert done.exit_code == 3
    assert "insufficient: 0 of 1 met" in done.stdout
    assert shell.run("evaluate", "--resume", run, "--after", "1-2").exit_code == 3


def test_the_same_key_is_the_same_run(shell: Shell) -> None:
    """A script that is run again finds what it has begun; another request is refused."""
    asked = ("run", "Once.", "--idempotency-key", "script-1", "--cache", "bypass", "--json")
    one, two = (json.loads(shell.run(*asked).stdout) for _ in range(2))
    other = shell.run("run", "Other.", "--idempotency-key", "script-1")

    assert one["id"] == two["id"]
    assert other.exit_code == 1


def test_a_run_that_somebody_cancels(shell: Shell, tmp_path: Path) -> None:
    """Is no whole answer: a 5, with the reason."""
    shell.model.respond = lambda _call: Script(chunks=("a", "b"), fault=Fault(at=1, stall=True))
    with process(shell, tmp_path, "run", "Hi") as running:
        assert running.stdout is not None
        assert running.stdout.read(1) == b"a"
        run = shell.call("GET", "/v1/runs?limit=1")["runs"][0]["id"]
        shell.call("POST", f"/v1/runs/{run}/cancel")
        _, err = running.communicate(timeout=20)

    assert running.returncode == 5
    assert b"cancelled (requested)" in err


def test_progress_is_for_terminals(shell: Shell, tmp_path: Path) -> None:
    """On a terminal a line says what goes on, and is gone when the answer is there."""
    shell.says("Done.")
    ours, theirs = os.openpty()
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        done = subprocess.run(
            [PROGRAM, "run", "Hi"],
            env=environment(tmp_path) | {"LLM_STREAM_URL": shell.url, "TERM": "xterm"},
            stdout=subprocess.PIPE,
            stderr=theirs,
            check=True,
            timeout=30,
        )
        told = terminal.read(65_536).decode()
        os.close(theirs)

    assert done.stdout == b"Done.\n"
    assert f"\r\x1b[Kasking {shell.url}, 0 s" in told
    assert "generate by scripted" in told
    assert "-- scripted, stop, 3 tokens in, 4 tokens out" in told
    assert told.rpartition("\x1b[K")[2].startswith("-- ")
