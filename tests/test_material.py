"""Files, standard input and JSON as commands are given them."""

import io
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest

from llm_stream.cli.configured import Refused
from llm_stream.cli.material import Material, value_of


@pytest.mark.parametrize(
    ("said", "value"),
    [("0.2", 0.2), ("7", 7), ("true", True), ("null", None), ("[1]", [1]), ("low", "low"),
     ("NaN", "NaN"), ('"7"', "7"), ("", "")],
)  # fmt: skip
def test_a_value_is_json_if_it_can_be(said: str, value: Any) -> None:
    """Numbers and lists are; words are words, and so is what JSON does not have."""
    assert value_of(said) == value


def test_documents_have_ids_of_their_own(tmp_path: Path) -> None:
    """Made of their names as the service takes them, numbered where they are the same."""
    paths = [tmp_path / "a" / "my notes.md", tmp_path / "b" / "my notes.md", tmp_path / "_\u00fc"]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        path.write_text(path.parent.name)

    made = Material().documents(map(str, paths))

    assert [each["id"] for each in made] == ["my-notes.md", "my-notes.md-2", "document"]
    assert [each["text"] for each in made][:2] == ["a", "b"]


def test_several_files_of_context_are_told_apart(tmp_path: Path) -> None:
    """One is the context as it is; of several each stands below its name."""
    (tmp_path / "a.md").write_text("One.")
    (tmp_path / "b.md").write_text("Two.")
    one, two = str(tmp_path / "a.md"), str(tmp_path / "b.md")

    assert Material().context([one]) == "One."
    assert Material().context([one, two]) == "a.md:\nOne.\n\nb.md:\nTwo."


def test_lines_or_an_array(tmp_path: Path) -> None:
    """A list is what stands on each line, or JSON."""
    path = tmp_path / "list"
    path.write_text("one\n\n two \n")
    assert Material().lines(str(path), "--criteria") == ["one", "two"]
    path.write_text('[{"id": "a"}]')
    assert Material().lines(str(path), "--criteria") == [{"id": "a"}]
    path.write_text("[oops")
    with pytest.raises(click.BadParameter, match="not JSON"):
        Material().lines(str(path), "--criteria")


def test_standard_input_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """As UTF-8, a mark of it left out; a second `-` is a mistake."""
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"\xef\xbb\xbfn\xc3\xa9e")))
    material = Material()

    assert material.text("-") == "n\u00e9e"
    with pytest.raises(click.UsageError):
        material.file("-")


def test_json_is_read_from_where_it_stands(tmp_path: Path) -> None:
    """In the words, in a file, or in what a shell's `<(...)` makes of a command."""
    (tmp_path / "a.json").write_text("[1]")
    reader, writer = os.pipe()
    os.write(writer, b"[2]")
    os.close(writer)

    said = (" [0]", str(tmp_path / "a.json"), f"/dev/fd/{reader}")

    assert [Material().json(each, "--schema") for each in said] == [[0], [1], [2]]
    os.close(reader)


@pytest.mark.parametrize("said", ["name, age int", "x" * 300, "[" * 100_000, "{oops", "/"])
def test_what_is_neither_json_nor_a_file(said: str) -> None:
    """However long or deep it is, the option is named."""
    with pytest.raises(click.BadParameter, match="JSON") as raised:
        Material().json(said, "--schema")

    assert raised.value.param_hint == "--schema"


def test_closed_standard_input_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """`<&-` leaves none."""
    monkeypatch.setattr(sys, "stdin", None)

    with pytest.raises(Refused, match="closed"):
        Material().text("-")


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    """No text, or no file."""
    (tmp_path / "latin").write_bytes(b"abc\xe9")

    with pytest.raises(Refused, match=r"latin: not UTF-8 \(byte 3\)"):
        Material().file(str(tmp_path / "latin"))
    with pytest.raises(Refused, match="Is a directory"):
        Material().data(str(tmp_path))
