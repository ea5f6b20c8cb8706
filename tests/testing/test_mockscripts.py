"""Scripts of mock providers in YAML."""

from pathlib import Path

import pytest

from llm_stream.testing.mockproviders import (
    MockAnswer,
    MockFault,
    MockScript,
    MockToolCall,
    ScriptFault,
    load_script,
)

SCRIPT = """\
seed: 7
models:
  gpt-4o:
    answers:
      - text: [Hel, lo]
        reasoning: [hm]
        tool_calls: [{name: look, arguments: {at: 1}}]
        finish: length
        output_tokens: 5
    faults:
      - {status: 429, headers: {retry-after: "1"}, times: 2}
      - {cut_at: 50, how: rst}
"""


def test_a_script_is_read(tmp_path: Path) -> None:
    """YAML says the same as Python."""
    path = tmp_path / "script.yaml"
    path.write_text(SCRIPT)

    script = load_script(path)

    answer = MockAnswer(
        text=("Hel", "lo"),
        reasoning=("hm",),
        tool_calls=(MockToolCall(name="look", arguments={"at": 1}),),
        finish="length",
        output_tokens=5,
    )
    faults = (
        MockFault(status=429, headers={"retry-after": "1"}, times=2),
        MockFault(cut_at=50, how="rst"),
    )
    assert script.seed == 7
    assert script.models == {"gpt-4o": MockScript(answers=(answer,), faults=faults)}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("models: {x: {faults: [{cut: 5}]}}", "models.x.faults.0.cut: "),
        ("models: {x: {faults: [{how: softly}]}}", "models.x.faults.0.how: "),
        ("models: {x: {answers: [{finish: never}]}}", "models.x.answers.0.finish: "),
        ("models: [", "while parsing"),
        ("- 1", ""),
    ],
)
def test_a_faulty_script_is_refused(text: str, fault: str, tmp_path: Path) -> None:
    """What no script can say is named by its place."""
    path = tmp_path / "script.yaml"
    path.write_text(text)

    with pytest.raises(ScriptFault, match=f"^{fault}"):
        load_script(path)


def test_a_missing_script_is_refused(tmp_path: Path) -> None:
    """A file that is not there is a fault of the script."""
    with pytest.raises(ScriptFault, match="No such file"):
        load_script(tmp_path / "nothing.yaml")
