"""The command line: what it says, what it refuses, and how the service starts and ends."""

import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest
from click.testing import CliRunner, Result

from llm_stream import __version__
from llm_stream.cli import main

from .redisserver import RedisServer
from .serving import Served, environment, serving

PROGRAM = Path(sys.executable).with_name("llm-stream")
ECHO = {
    "LLM_STREAM__LOCAL__ENABLED": "false",
    "LLM_STREAM__MODELS__DEFAULT": "echo",
    "LLM_STREAM__MODELS__PLUGINS": '["llm-echo"]',
    "LLM_STREAM__MODELS__ALIASES": '{"fast": "echo", "balanced": "echo", "powerful": "echo"}',
}
"""Settings with one model that needs neither weights nor network."""


def invoke(*arguments: str, **env: str) -> Result:
    """Run a command in this process; plugins are never loaded in it."""
    own = {"LLM_STREAM_URL": ""} | env
    return CliRunner().invoke(main, arguments, env=own, prog_name="llm-stream")


def run(cwd: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a process of its own, since plugins change the whole process."""
    return subprocess.run(
        [PROGRAM, *arguments],
        cwd=cwd,
        env=environment(cwd) | ECHO | env,
        capture_output=True,
        text=True,
        check=False,
    )


def test_help_explains_every_command() -> None:
    """`llm-stream --help` names each command with a whole sentence."""
    result = invoke("--help")

    assert result.exit_code == 0
    for name in ("serve", "pull", "models", "check", "cache", "mock-providers", "run", "evaluate",
                 "breakdown", "reason", "batch", "cancel", "completion"):  # fmt: skip
        assert re.search(rf"^  {name} +[A-Z].*[^.]\.$", result.output, re.MULTILINE)


@pytest.mark.parametrize("command", ["serve", "pull", "models", "check", "cache", "mock-providers"])
def test_help_of_a_command(command: str) -> None:
    """Each command explains itself and its options."""
    result = invoke(command, "--help")

    assert result.exit_code == 0
    assert f"{command} [OPTIONS]" in result.output


def test_version() -> None:
    """The version is that of the installed package."""
    assert invoke("--version").output == f"llm-stream {__version__}\n"


@pytest.mark.parametrize("command", ["serve", "models", "check"])
def test_faulty_configuration_is_refused(command: str, tmp_path: Path) -> None:
    """Every command that needs the configuration tells all its faults and ends with 1."""
    path = tmp_path / "config.toml"
    path.write_text("[server]\nport = -1\n[runs]\nretention = 1\n")

    result = invoke(command, LLM_STREAM_CONFIG=str(path))

    assert result.exit_code == 1
    assert [line.split(":")[0] for line in result.stderr.splitlines()] == [
        "server.port",
        "runs.retention",
    ]


def test_open_address_is_refused() -> None:
    """Serving to other machines needs a decision, and the message says which."""
    result = invoke("serve", "--host", "0.0.0.0")

    assert result.exit_code == 1
    assert "server.allow_open = true" in result.stderr


def test_options_beat_the_environment() -> None:
    """`--port` wins over a variable; its fault names the option."""
    result = invoke("serve", "--port", "70000", LLM_STREAM__SERVER__PORT="1")

    assert result.exit_code == 1
    assert "got 70000 (from --port)" in result.stderr


@pytest.mark.slow
def test_serve_answers_and_stops(tmp_path: Path) -> None:
    """`serve` prints its address once it answers there, and SIGTERM ends it with 0."""
    with serving(PROGRAM, cwd=tmp_path, env=ECHO) as served:
        assert __version__ in served.banner
        with urlopen(f"{served.url}/livez") as reply:
            assert reply.status == 200
        served.process.send_signal(signal.SIGTERM)

        assert served.process.wait(10) == 0


@pytest.mark.slow
def test_serve_on_a_port_in_use(tmp_path: Path) -> None:
    """A port that somebody else has is told in one line."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        done = run(tmp_path, "serve", "--port", str(port))

    assert done.returncode == 1
    assert done.stderr == f"cannot serve on 127.0.0.1:{port}: Address already in use\n"


@pytest.mark.slow
def test_serve_with_a_broken_template(tmp_path: Path) -> None:
    """A template that cannot be used keeps the service from starting, and is named."""
    (tmp_path / "broken.yaml").write_text("prompt: [")

    done = run(tmp_path, "serve", "--port", "0", LLM_STREAM__TEMPLATES__FOLDER=str(tmp_path))

    assert done.returncode == 1
    assert done.stderr.startswith("templates: broken.yaml: not YAML")


@pytest.mark.slow
def test_models_as_a_table(tmp_path: Path) -> None:
    """`models` shows ids, aliases, the default, and what failed, by name."""
    done = run(tmp_path, "models", LLM_STREAM__MODELS__PLUGINS='["llm-echo", "llm-nowhere"]')

    assert done.returncode == 0
    assert re.search(r"^\*  echo +balanced, default, fast, powerful", done.stdout, re.MULTILINE)
    assert "plugin llm-nowhere could not be loaded: not installed" in done.stdout


@pytest.mark.slow
def test_models_as_json(tmp_path: Path) -> None:
    """`models --json` says the same to a program."""
    done = run(tmp_path, "models", "--json", LLM_STREAM__MODELS__ALIASES__FAST="nowhere")

    answer = json.loads(done.stdout)
    assert answer["aliases"]["balanced"] == "echo"
    assert answer["broken_aliases"] == {"fast": "nowhere"}
    assert answer["faults"] == []
    assert {"id", "aliases", "supports_schema"} <= set(answer["models"][0])


@pytest.mark.slow
def test_check_when_all_is_fine(tmp_path: Path) -> None:
    """`check` says what it found and ends with 0."""
    done = run(tmp_path, "check")

    assert done.returncode == 0
    assert [line.split()[:2] for line in done.stdout.splitlines()] == [
        ["ok", "configuration:"],
        ["ok", "models:"],
        ["ok", "templates:"],
    ]


@pytest.mark.slow
def test_check_tells_every_fault(tmp_path: Path) -> None:
    """`check` goes on after the first fault, names the key or file of each, and ends with 1."""
    (tmp_path / "no-yaml.yaml").write_text("prompt: [")
    (tmp_path / "runs-code.yaml").write_text("prompt: x\nfunctions: print()")
    (tmp_path / "orphan.yaml").write_text("prompt: x\nmodel: nowhere")
    config = tmp_path / "config.toml"
    config.write_text(
        f'[templates]\nfolder = "{tmp_path}"\n'
        '[models]\nplugins = ["llm-nowhere", "llm-echo"]\ndefault = "nobody"\n'
        '[models.aliases]\nfast = "nothing"\n[models.fallbacks]\necho = ["never"]\n'
        "[models.per_model_timeouts.nil]\nidle_seconds = 1\n"
    )
    env = {name: ECHO[name] for name in ("LLM_STREAM__LOCAL__ENABLED",)}

    done = subprocess.run(
        [PROGRAM, "check", "--config", config],
        env=environment(tmp_path) | env,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    wrong = [line for line in done.stdout.splitlines() if line.startswith("wrong")]
    for word in (
        "plugin llm-nowhere",
        "models.default: there is no model 'nobody'",
        "models.aliases.fast: there is no model 'nothing'",
        "models.fallbacks.echo: there is no model 'never'",
        "models.per_model_timeouts.nil",
        "template orphan: there is no model 'nowhere'",
        "no-yaml.yaml: not YAML",
        "runs-code.yaml: field 'functions' is not allowed",
    ):
        assert len([line for line in wrong if word in line]) == 1, (word, done.stdout)


def get(url: str, path: str) -> bytes:
    """The body of an answer, on a connection of its own."""
    with urlopen(url + path) as response:
        body: bytes = response.read()
        return body


def test_workers_need_a_redis(tmp_path: Path) -> None:
    """Several processes without a Redis are refused with what to do."""
    result = run(tmp_path, "serve", "--workers", "2")

    assert result.returncode == 1
    assert "server.workers" in result.stderr
    assert "redis.url" in result.stderr


@contextmanager
def working(
    cwd: Path, server: RedisServer, *, workers: int
) -> Iterator[tuple[Served, Iterator[int]]]:
    """A service of several processes, and their ids as the parent's log tells them."""
    redis = {"LLM_STREAM__REDIS__URL": server.url}
    here, there = os.pipe()
    with (
        os.fdopen(here) as log,
        os.fdopen(there) as end,
        serving(
            PROGRAM, "--workers", str(workers), cwd=cwd, env=ECHO | redis, stderr=end.fileno()
        ) as served,
    ):
        end.close()
        lines = (json.loads(line) for line in log)
        yield served, (line["worker"] for line in lines if line["event"] == "worker.started")


@pytest.mark.slow
def test_workers_share_a_port_and_end_together(tmp_path: Path, redis_server: RedisServer) -> None:
    """Three processes answer on one port; a killed one is replaced; SIGTERM ends all, exit 0."""
    with working(tmp_path, redis_server, workers=3) as (served, started):
        first, *others = [next(started) for _ in range(3)]
        assert get(served.url, "/livez") == b"ok\n"
        os.kill(first, signal.SIGKILL)
        replaced = [*others, next(started)]
        assert get(served.url, "/livez") == b"ok\n"
        served.process.send_signal(signal.SIGTERM)
        assert served.process.wait(20) == 0

    assert not any(Path(f"/proc/{pid}").exists() for pid in replaced)


@pytest.mark.slow
def test_workers_end_when_their_parent_is_gone(tmp_path: Path, redis_server: RedisServer) -> None:
    """A parent that is killed leaves no worker behind: each drains and goes."""
    with working(tmp_path, redis_server, workers=2) as (served, started):
        ends = [os.pidfd_open(next(started)) for _ in range(2)]
        served.process.kill()
        served.process.wait()

        for end in ends:
            assert select.select([end], [], [], 20)[0]
            os.close(end)
