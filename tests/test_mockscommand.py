"""`llm-stream mock-providers`: what it prints, that it serves, and what it refuses."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tomllib
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from click.testing import CliRunner

from llm_stream.cli import main
from llm_stream.config import ProviderSection

from .serving import environment

COMMAND = [sys.executable, "-m", "llm_stream", "mock-providers"]


@pytest.mark.slow
def test_it_serves_until_told_to_stop(tmp_path: Path) -> None:
    """It prints where each client finds it, answers there, tells its requests, and ends with 0."""
    process = subprocess.Popen(
        [*COMMAND, "--port", "0"], env=environment(tmp_path), stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        try:
            printed = ""
            while "POST" not in printed:
                printed += process.stdout.readline()
            lines = "\n".join(re.findall(r"^  \w.* = .*$", printed, re.MULTILINE))
            providers = tomllib.loads(f"[providers]\n{lines}")["providers"]
            openai = providers["openai"]["base_url"]
            body = json.dumps({"model": "mock", "messages": [{"role": "user", "content": "x"}]})
            asked = Request(
                f"{openai}/chat/completions",
                body.encode(),
                {"Authorization": "Bearer mock"},
            )
            with urlopen(asked) as reply:
                assert json.load(reply)["choices"][0]["finish_reason"] == "stop"
            with urlopen(openai.removesuffix("openai/v1") + "mock/requests") as reply:
                told = json.load(reply)
            process.send_signal(signal.SIGTERM)
            code = process.wait(10)
        finally:
            process.kill()

    assert sorted(providers) == ["anthropic", "gemini", "mock", "openai", "palm"]
    assert ProviderSection(**providers["mock"]).mock
    assert [(one["model"], one["status"]) for one in told["requests"]] == [("mock", 200)]
    assert code == 0


def test_a_port_in_use_is_told() -> None:
    """A port that somebody else has is told in one line."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = CliRunner().invoke(main, ["mock-providers", "--port", str(port)])

    assert result.exit_code == 1
    assert result.stderr == f"cannot serve on 127.0.0.1:{port}: Address already in use\n"


def test_a_faulty_script_is_told(tmp_path: Path) -> None:
    """Each fault of a script is a line with the file and the place."""
    path = tmp_path / "script.yaml"
    path.write_text("models: {x: {faults: [{cut: 5}]}}")

    result = CliRunner().invoke(main, ["mock-providers", "--script", os.fspath(path)])

    assert result.exit_code == 1
    assert result.stderr.startswith(f"{path}: models.x.faults.0.cut: ")
