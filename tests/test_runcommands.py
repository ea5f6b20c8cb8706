"""`llm-stream run`, `reason` and `batch`: what they ask, and what they print."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llm_stream.cli.material import Material
from llm_stream.cli.runcommands import attached
from llm_stream.testing import Fault, Script
from llm_stream.testing.scripted import Call

from .shelled import Shell, judged, shell_of, task
from .test_cli import invoke

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


@pytest.mark.parametrize("command", ["run", "evaluate", "breakdown", "reason", "batch"])
def test_help_explains_options_and_codes(command: str) -> None:
    """Each command tells its options and its exit codes."""
    told = " ".join(invoke(command, "--help").output.split())

    assert f"{command} [OPTIONS]" in told
    assert "6 no service answers" in told
    assert "--idempotency-key" in told


def test_text_is_printed_as_it_is(shell: Shell) -> None:
    """The answer alone, on a line of its own; a pipe hears nothing else."""
    shell.says("Two ", "words")

    done = shell.run("run", "Say two words.")

    assert (done.exit_code, done.stdout, done.stderr) == (0, "Two words\n", "")


def test_what_is_asked(shell: Shell, tmp_path: Path) -> None:
    """Prompt, files and standard input one below the other; system prompt and options."""
    (tmp_path / "notes.md").write_text("Notes.")

    done = shell.run(
        "run", "Sum up:", str(tmp_path / "notes.md"), "-", "-s", "Be brief.", "-m", "fast",
        "-o", "temperature", "0.5", "-o", "max_tokens", "7", stdin="Piped.",
    )  # fmt: skip

    call = shell.model.calls[-1]
    assert done.exit_code == 0
    assert call.prompt == "Sum up:\n\nNotes.\n\nPiped."
    assert call.system == "Be brief."
    assert call.options == {"temperature": 0.5, "max_tokens": 7}


def test_a_template_gets_its_values(shell: Shell) -> None:
    """`-t` names it, `-p` fills it in, the prompt is its input."""
    shell.run("run", "-t", "summarize", "-p", "sentences", "2", "-", stdin="A long text.")

    assert "in at most 2 sentences" in shell.model.calls[-1].prompt
    assert "A long text." in shell.model.calls[-1].prompt


def test_attachments_go_along(shell: Shell, tmp_path: Path) -> None:
    """A file's name says its type, or `--at` does."""
    (tmp_path / "a.png").write_bytes(b"png")
    (tmp_path / "b").write_bytes(b"text")

    done = shell.run(
        "run", "See.", "-a", str(tmp_path / "a.png"), "--at", str(tmp_path / "b"), "text/plain"
    )
    unknown = shell.run("run", "See.", "-a", str(tmp_path / "b"))

    found = str(shell.model.calls[-1].messages)
    assert done.exit_code == 0, done.stderr
    assert "image/png" in found
    assert "text/plain" in found
    assert (unknown.exit_code, "--at" in unknown.stderr) == (2, True)


def test_a_schema_makes_the_answer_json(shell: Shell, tmp_path: Path) -> None:
    """Written or in a file; a pipe gets the answer that met it, not the void one before."""
    schema = {"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}}
    (tmp_path / "schema.json").write_text(json.dumps(schema))
    replies = iter(['{"a": "no"}', '{"a": 1}'])
    shell.model.respond = lambda _call: Script(chunks=(next(replies),))

    done = shell.run("run", "Give a.", "--schema", str(tmp_path / "schema.json"))

    assert (done.exit_code, done.stdout) == (0, '{"a": 1}\n')
    assert shell.run("run", "x", "--schema", "{").exit_code == 2
    assert shell.run("run", "x", "--schema", "nowhere.json").exit_code == 2


@pytest.mark.parametrize(
    ("recipe", "arguments", "body"),
    [
        (
            "generate",
            ("run", "Hi", "--schema", '{"type": "object"}'),
            {"prompt": "Hi", "schema": {"type": "object"}},
        ),
        ("reason", ("reason", "Why?", "--strategy", "vote"),
         {"question": "Why?", "strategy": "vote"}),
        ("evaluate", ("evaluate", "design", "-c", "One", "--stage-data", '{"a": 1}'),
         {"stage_name": "design", "criteria": ["One"], "stage_data": {"a": 1}}),
        ("breakdown", ("breakdown", "Build it."), {"task": "Build it."}),
        ("batch", ("batch", "-"), {"requests": [{"input": {"prompt": "Hi"}}]}),
    ],
)  # fmt: skip
def test_json_is_what_the_plain_call_answers(
    shell: Shell, recipe: str, arguments: tuple[str, ...], body: dict[str, Any]
) -> None:
    """The whole answer of each recipe, by the same names and with the same values."""

    def answer(call: Call) -> Any:
        names = (call.schema or {}).get("properties", {})
        if "tasks" in names:
            return {"tasks": [task("shop")], "open_questions": []}
        return judged("met") if "rating" in names else {"said": 1}

    shell.answers(answer)
    done = shell.run(*arguments, "--json", stdin='"Hi"\n')
    answered, plain = json.loads(done.stdout), shell.call("POST", f"/v1/{recipe}", body)

    assert done.exit_code == 0
    assert answered.keys() == plain.keys()
    assert answered["cache"]["status"] == "miss"
    own = {"id", "cache", "cached", "timings", "results"} | (
        {"usage"} if recipe == "batch" else set()
    )
    assert {name: value for name, value in answered.items() if name not in own} == {
        name: value for name, value in plain.items() if name not in own
    }


def test_events_are_all_there(shell: Shell) -> None:
    """One a line, from the first to the terminal one."""
    lines = shell.run("run", "Hi", "--events").stdout.splitlines()
    events = [json.loads(line) for line in lines]

    assert [event["type"] for event in events[:2]] == ["run.started", "text.delta"]
    assert events[-1]["type"] == "run.completed"
    assert [event["id"] for event in events] == [f"1-{n}" for n in range(1, len(events) + 1)]


def test_verbose_tells_what_goes_on(shell: Shell) -> None:
    """Thoughts, failed attempts and the sum of it, on standard error; the answer stays alone."""
    shell.says("Done.", reasoning=("Hm, ", "well."))

    done = shell.run("run", "Think.", "-v")
    quiet = shell.run("run", "Think again.", "-v", "-q")

    assert done.stdout == "Done.\n"
    first, last = done.stderr.splitlines()
    assert first == "Hm, well."
    assert last.startswith("-- scripted, stop, 3 tokens in, 4 tokens out, ")
    assert quiet.stderr == ""


def test_the_cache_is_used_as_told(shell: Shell) -> None:
    """A kept answer is told as one; `bypass` asks again; `only` calls no model."""
    asked = len(shell.model.calls)
    told = [
        shell.run("run", "Kept?", "--cache", mode, "-v", "--cache-tag", "shop").stderr
        for mode in ("use", "use", "bypass")
    ]
    only = shell.run("run", "Never asked.", "--cache", "only")

    assert [", hit, " in said for said in told] == [False, True, False]
    assert len(shell.model.calls) == asked + 2
    assert only.exit_code == 1
    assert shell.call("POST", "/v1/cache/invalidate", {"tag": "shop"}) == {"dropped": 1}


def test_reason_prints_the_answer_and_shows_steps_on_demand(shell: Shell, tmp_path: Path) -> None:
    """Files are what is known; drafts and critiques are no part of the answer."""
    (tmp_path / "known.txt").write_text("Two people.")
    replies = iter(["A draft.", "Too short.", "The answer."])
    shell.model.respond = lambda _call: Script(chunks=(next(replies),))

    done = shell.run(
        "reason", "Build or rent?", str(tmp_path / "known.txt"), "--strategy", "critique", "-v"
    )

    assert (done.exit_code, done.stdout) == (0, "The answer.\n")
    assert "[draft] A draft." in done.stderr
    assert any("Two people." in str(call.messages) for call in shell.model.calls[-3:])


@pytest.mark.parametrize(
    "given",
    [
        '["One?", {"id": "b", "input": {"prompt": "Two?"}}]',
        '"One?"\n\n{"id": "b", "input": {"prompt": "Two?"}}\n',
        '"One?\u2028"\r\n{"id": "b", "input": {"prompt": "Two?\u0085"}}',
        '{"requests": [{"input": {"prompt": "One?"}}, {"id": "b", "input": {"prompt": "Two?"}}]}',
    ],
    ids=["array", "lines", "line-separators", "body"],
)
def test_batch_prints_each_result(shell: Shell, given: str) -> None:
    """Requests are an array, one a line, or a whole body; a text alone is a prompt."""
    done = shell.run("batch", "-", "--concurrency", "1", stdin=given)

    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.exit_code == 0
    assert [result["status"] for result in results] == ["completed"] * 2
    assert results[1]["id"] == "b"
    assert results[0]["answer"]["text"] == "Hello, world."


def test_a_batch_of_one(shell: Shell) -> None:
    """One request needs no array, on however many lines it stands."""
    done = shell.run("batch", "-", stdin='{\n"id": "a",\n"input": {"prompt": "Hi"}\n}')

    assert json.loads(done.stdout)["id"] == "a"


def test_a_batch_tells_that_some_failed(shell: Shell) -> None:
    """One failure does not spoil the rest, and is a 5."""
    shell.model.respond = lambda call: Script(
        fault=Fault(error=ValueError("no")) if "bad" in call.prompt else None
    )

    done = shell.run("batch", "-", stdin='"good"\n"bad"\n')

    assert done.exit_code == 5
    assert {json.loads(line)["status"] for line in done.stdout.splitlines()} == {
        "completed",
        "failed",
    }


@pytest.mark.parametrize(
    ("arguments", "stdin"),
    [
        (["run"], ""),
        (["run", "-"], ""),
        (["run", "-", "-"], "x"),
        (["run", "Hi", "nowhere.txt"], ""),
        (["run", "Hi", "--json", "--events"], ""),
        (["run", "Hi", "--after", "1-3"], ""),
        (["run", "--resume", "run_1", "--after", "1-3", "--json"], ""),
        (["run", "--resume", "run_1", "--detach"], ""),
        (["run", "Hi", "--resume", "run_1"], ""),
        (["reason", "--resume", "run_1", "-m", "scripted"], ""),
        (["run", "--resume", "run_1", "--after", "1\n3"], ""),
        (["run", "Hi", "--idempotency-key", ""], ""),
        (["run", "Hi", "--idempotency-key", "one\ntwo"], ""),
        (["run", "Hi", "--detach", "--events"], ""),
        (["run", "Hi", "--detach", "--wait", "3"], ""),
        (["run", "Hi", "--timeout", "0"], ""),
        (["reason"], ""),
        (["evaluate"], ""),
        (["breakdown"], ""),
        (["batch"], ""),
        (["batch", "-"], ""),
        (["batch", "-"], "no json"),
    ],
)
def test_wrong_usage(shell: Shell, arguments: list[str], stdin: str) -> None:
    """What makes no sense is refused before anybody is asked, and is a 2."""
    asked = len(shell.model.calls)

    done = shell.run(*arguments, stdin=stdin)

    assert done.exit_code == 2
    assert len(shell.model.calls) == asked


def test_attachments_are_sent_as_they_are(tmp_path: Path) -> None:
    """Bytes, not text."""
    (tmp_path / "a.gif").write_bytes(b"\xff\x00")

    made = attached(Material(), str(tmp_path / "a.gif"), None)

    assert made == {"type": "image/gif", "data": base64.b64encode(b"\xff\x00").decode()}
