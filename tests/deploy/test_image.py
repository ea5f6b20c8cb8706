"""The Dockerfile: no engine runs here, so each thing it says is held to what there is."""

import asyncio
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from llm_stream.models.weights import SMOLLM2, weights_path
from llm_stream.resources import resource
from llm_stream.web.parts import clients_path

from ..conftest import StartService
from ..redisserver import free_port
from .files import PINNED, TOP, image, instructions, served, version


def copied() -> set[str]:
    """What the first stage takes from the source tree."""
    return {
        source.rstrip("/")
        for each in instructions()
        if each.name == "COPY" and "--from" not in each.text
        for source in each.text.split()[:-1]
    }


def wheel_of(folder: Path, into: Path) -> set[str]:
    """Names of the files in the wheel that is made of a source tree."""
    done = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", into, folder],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = into.glob("*.whl")
    return set(ZipFile(wheel).namelist())


def healthcheck() -> list[str]:
    """The command that tells whether a container is well."""
    _, _, command = image().last("HEALTHCHECK").partition("CMD ")
    program, *arguments = json.loads(command)
    assert program == "python"
    return [sys.executable, *arguments]


def test_base_images_are_pinned() -> None:
    """Every stage begins with an image of a named version."""
    bases = [each.text.split()[0] for each in instructions() if each.name == "FROM"]

    assert len(bases) == 2
    assert len(set(bases)) == 1
    assert PINNED.fullmatch(bases[0])


def test_nobody_is_root() -> None:
    """The image runs as a user by number, who owns the one folder that is written to."""
    user = image().last("USER")
    owners = re.search(r"install -d -m 0700 -o (\d+) -g (\d+) (\S+)", image().last("RUN"))

    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    assert owners is not None
    assert f"{owners[1]}:{owners[2]}" == user
    assert owners[3] == image().last("VOLUME") == image().environment["LLM_USER_PATH"]


def test_what_runs_is_a_service_that_asks_for_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Command and variables are those of the program; others reach it, and need a key."""
    settings = served(monkeypatch, image().command, image().environment)

    assert settings.server.host == "0.0.0.0"
    assert settings.auth.required is True
    assert str(settings.server.port) == image().last("EXPOSE")


def test_what_it_writes_is_in_its_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients are kept in the volume; weights are found where the first stage has put them."""
    variables = image().environment
    settings = served(monkeypatch, image().command, variables)
    for name in ("LLM_USER_PATH", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, variables[name])
    built = next(each.text for each in instructions() if each.name == "ENV")

    assert clients_path(settings).parent == Path(variables["LLM_USER_PATH"])
    assert built == f"XDG_DATA_HOME={variables['XDG_DATA_HOME']}"
    assert weights_path().name == SMOLLM2.file
    assert weights_path().is_relative_to("/opt/llm-stream")


@pytest.mark.slow
def test_what_is_copied_is_enough(tmp_path: Path) -> None:
    """A wheel made of what the Dockerfile copies has every file that a wheel has.

    All but the site of the documents, which the Dockerfile builds itself.
    """
    few = tmp_path / "few"
    few.mkdir()
    for name in copied():
        source = TOP / name
        if source.is_dir():
            shutil.copytree(source, few / name)
        else:
            shutil.copy(source, few)

    whole = wheel_of(TOP, tmp_path / "two")
    assert wheel_of(few, tmp_path / "one") == {n for n in whole if "/_resources/site/" not in n}


def test_the_context_is_what_is_copied() -> None:
    """.dockerignore lets in what the Dockerfile copies, and nothing else."""
    lines = (TOP / ".dockerignore").read_text("utf-8").splitlines()
    rules = [line for line in lines if not line.startswith("#")]

    assert rules[0] == "*"
    assert {rule[1:] for rule in rules if rule.startswith("!")} == copied()
    assert "constraints.txt" in copied()


@pytest.mark.slow
async def test_a_container_is_well_while_it_answers(start_service: StartService) -> None:
    """The health check finds a service that answers for one name only, and no other."""
    service = await start_service(server={"allowed_hosts": ("llm.example",)})
    *command, code = healthcheck()
    assert code.count(" 8080)") == 1

    def run(port: int) -> subprocess.Popen[bytes]:
        asked = code.replace(" 8080)", f" {port})")
        return subprocess.Popen([*command, asked], stderr=subprocess.DEVNULL)

    with run(service.port) as well, run(free_port()) as gone:
        assert await asyncio.to_thread(well.wait) == 0
        assert await asyncio.to_thread(gone.wait) == 1


def test_documents_name_this_version() -> None:
    """Wherever docs/deployment.md names the image, it is that of this release."""
    text = resource("docs").joinpath("deployment.md").read_text("utf-8")

    assert set(re.findall(r"llm-stream:(\d[\w.]*)", text)) == {version()}
