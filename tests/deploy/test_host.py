"""What runs the service on a host: the systemd unit and the Procfile."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from llm_stream.web.parts import clients_path
from llm_stream.web.server import READERS_SECONDS

from ..serving import environment
from .files import DEPLOY, TOP, served

UNIT = DEPLOY / "llm-stream.service"


def unit() -> dict[str, list[str]]:
    """The directives of the unit; some may stand several times."""
    found: dict[str, list[str]] = {}
    for line in UNIT.read_text("utf-8").splitlines():
        if line and line[0] not in "#[":
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def variables() -> dict[str, str]:
    """What the unit puts into the environment."""
    return dict(each.split("=", 1) for each in unit()["Environment"])


def process() -> str:
    """The command line of the Procfile's one process."""
    lines = (TOP / "Procfile").read_text("utf-8").splitlines()
    (line,) = [line for line in lines if not line.startswith("#")]
    name, command = line.split(": ", 1)
    assert name == "web"
    return command


def test_the_unit_starts_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its command is one of the program, with the shipped file as the configuration."""
    (command,) = unit()["ExecStart"]
    program, *arguments = shlex.split(command)
    shipped = [
        str(TOP / "config.toml") if each == "/etc/llm-stream/config.toml" else each
        for each in arguments
    ]
    settings = served(monkeypatch, shipped, variables())
    monkeypatch.setenv("LLM_USER_PATH", variables()["LLM_USER_PATH"])

    assert Path(program).name == "llm-stream"
    assert str(TOP / "config.toml") in shipped
    assert clients_path(settings).parent == Path("/var/lib") / unit()["StateDirectory"][0]
    assert float(unit()["TimeoutStopSec"][0]) > settings.server.drain_seconds + READERS_SECONDS


def test_the_unit_writes_into_its_folder_only() -> None:
    """All that is kept is in the folder that systemd makes; the rest is read-only."""
    state = f"/var/lib/{unit()['StateDirectory'][0]}"

    assert set(variables().values()) == {state}
    assert unit()["ProtectSystem"] == ["strict"]
    assert unit()["PrivateTmp"] == ["yes"]
    assert unit()["User"] == ["llm-stream"]


def test_the_unit_tells_workers_to_stop_only_once() -> None:
    """Signals go to the first process, which passes them on; a second one would end a drain."""
    assert unit()["KillMode"] == ["mixed"]


@pytest.mark.slow
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    """`systemd-analyze verify` finds nothing to say about it."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not installed")
    text = UNIT.read_text("utf-8").replace("/opt/llm-stream/bin/llm-stream", sys.executable)
    copy = tmp_path / UNIT.name
    copy.write_text(text, "utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", copy], capture_output=True, text=True, check=False
    )

    assert [line for line in done.stderr.splitlines() if UNIT.name in line] == []


@pytest.mark.slow
def test_the_procfile_runs_and_stops(tmp_path: Path) -> None:
    """Its command, run by a shell, serves on PORT, asks for keys, and gets its SIGTERM."""
    own = environment(tmp_path) | {"PORT": "0", "LLM_STREAM__LOCAL__ENABLED": "false"}
    own["LLM_STREAM__MODELS__PLUGINS"] = "[]"
    own["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with (
        (tmp_path / "stderr.log").open("w+") as log,
        subprocess.Popen(
            ["sh", "-c", process()],
            cwd=tmp_path, env=own, stdout=subprocess.PIPE, stderr=log, text=True,
        ) as running,
    ):  # fmt: skip
        try:
            assert running.stdout is not None
            address = running.stdout.readline()
            log.seek(0)
            assert re.search(r"serves on http://0\.0\.0\.0:[1-9]\d+$", address), log.read()
            running.send_signal(signal.SIGTERM)

            assert "no client has a key" in running.stdout.read()
            assert running.wait(10) == 0
        finally:
            running.kill()
