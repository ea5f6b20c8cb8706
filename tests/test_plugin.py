"""The embedded model in llm's own command line."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from llm_stream.models.local import LocalModel, SyncLocalModel
from llm_stream.models.weights import fetch_weights
from llm_stream.plugin import register_models


def run_llm(home: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`llm` with an empty folder of its own and only this plugin."""
    return subprocess.run(
        [sys.executable, "-m", "llm", *arguments],
        env={
            **os.environ,
            "LLM_USER_PATH": str(home),
            "LLM_LOAD_PLUGINS": "llm-stream",
            **environment,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def registered() -> list[Any]:
    """What the plugin registers."""
    models: list[Any] = []
    register_models(lambda *pair: models.extend(pair))
    return models


def test_both_twins_are_registered_and_share_one_file() -> None:
    """llm gets a sync and an async smollm2, the same ones each time it asks."""
    sync, asynchronous = registered()

    assert isinstance(sync, SyncLocalModel)
    assert isinstance(asynchronous, LocalModel)
    assert sync.model_id == asynchronous.model_id == "smollm2"
    assert registered()[1] is asynchronous
    assert asynchronous.statistics().loaded is False


def test_without_the_library_nothing_is_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that could never answer is not offered."""
    monkeypatch.setitem(sys.modules, "xllamacpp", None)

    assert registered() == []


@pytest.mark.slow
def test_registering_imports_nothing_heavy() -> None:
    """Having the plugin costs llm's other users neither llama.cpp nor the web server."""
    program = (
        "import sys, llm, llm_stream.plugin as plugin; plugin.register_models(lambda *pair: None);"
        "print(*{'xllamacpp', 'aiohttp', 'pip'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout.strip() == ""


@pytest.mark.slow
@pytest.mark.real_model
@pytest.mark.parametrize("mode", [(), ("--async",)], ids=["sync", "async"])
def test_the_command_line_answers(tmp_path: Path, mode: tuple[str, ...]) -> None:
    """`llm -m smollm2 'Hi'` prints an answer, ends well and says nothing else."""
    fetch_weights()

    done = run_llm(tmp_path, "-m", "smollm2", "Hi", "-o", "max_tokens", "8", *mode)

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert done.stderr == ""


@pytest.mark.slow
def test_the_command_line_says_what_is_missing(tmp_path: Path) -> None:
    """Without weights the model is listed, and asking it names the command that helps."""
    elsewhere = {"XDG_DATA_HOME": str(tmp_path / "data"), "HOME": str(tmp_path)}

    listed = run_llm(tmp_path, "models", **elsewhere)
    asked = run_llm(tmp_path, "-m", "smollm2", "Hi", **elsewhere)

    assert "llm-stream: smollm2" in listed.stdout
    assert asked.returncode == 1
    assert "llm-stream pull" in asked.stderr
