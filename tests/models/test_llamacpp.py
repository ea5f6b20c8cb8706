"""Opening llama.cpp: what is missing is told, and nothing of it can be reached from outside."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from llm_stream.errors import ModelUnavailable
from llm_stream.models.llamacpp import BATCH_TOKENS, open_server
from llm_stream.models.weights import fetch_weights


def test_a_missing_library_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without xllamacpp the error names the extra."""
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    monkeypatch.setitem(sys.modules, "xllamacpp", None)

    with pytest.raises(ModelUnavailable, match=r"pip install 'llm-stream\[local\]'"):
        open_server(tmp_path / "m.gguf", 512, 1, 0)


def test_missing_weights_say_how_to_fetch_them(tmp_path: Path) -> None:
    """Without the file the error names the command, not the folder."""
    with pytest.raises(ModelUnavailable, match="llm-stream pull") as caught:
        open_server(tmp_path / "m.gguf", 512, 1, 0)

    assert str(tmp_path) not in caught.value.detail


@pytest.mark.real_model
def test_a_file_that_is_no_model_says_so(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A broken file is an error, not a crash, and llama.cpp keeps its log to itself."""
    (tmp_path / "broken.gguf").write_bytes(b"GGUF nothing")

    with pytest.raises(ModelUnavailable, match=r"cannot load broken\.gguf"):
        open_server(tmp_path / "broken.gguf", 512, 1, 0)

    assert capfd.readouterr() == ("", "")


@pytest.mark.real_model
def test_a_prompt_can_be_left_while_it_is_read() -> None:
    """llama.cpp reports each batch of a prompt, and stops there if told to."""
    server = open_server(fetch_weights(), 512, 1, 1)
    seen: list[dict[str, int]] = []

    def leave_at_second(chunk: Any) -> bool:
        seen.append(chunk["prompt_progress"])
        return len(seen) == 2

    messages = [{"role": "user", "content": "word " * 200}]
    server.handle_chat_completions(
        {"messages": messages, "stream": True, "return_progress": True}, leave_at_second
    )

    assert [progress["processed"] for progress in seen] == [0, BATCH_TOKENS]
    assert seen[1]["total"] > 200


OPEN_AND_LOOK = """
import sys
from pathlib import Path
from llm_stream.models.llamacpp import open_server
server = open_server(Path(sys.argv[1]), 512, 1, 1)
server.handle_chat_completions(
    {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}, lambda chunk: False
)
scheme, _, path = server.listening_address.partition("://")
print(scheme, Path(path).parent.exists())
"""


@pytest.mark.slow
@pytest.mark.real_model
def test_a_loaded_model_is_silent_and_cannot_be_reached(tmp_path: Path) -> None:
    """Its own HTTP server has no port, the file of its socket is gone, nothing is logged."""
    done = subprocess.run(
        [sys.executable, "-c", OPEN_AND_LOOK, str(fetch_weights())],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert done.stdout.split() == ["unix", "False"]
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []
