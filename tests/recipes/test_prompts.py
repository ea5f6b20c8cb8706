"""Templates: loaded and hashed once, values are data, files that are dangerous are refused."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from llm_stream.errors import EmptyPrompt, MissingVariable, UnknownTemplate, UnknownVariable
from llm_stream.recipes.prompts import YAML_LOADER, PromptLibrary, TemplateFault, parse
from llm_stream.resources import resource

STAGE = parse(
    "stage",
    b"""
system: You judge the stage $stage.
prompt: |
  Stage $stage, budget $$$budget:
  $input
defaults:
  budget: "100"
options:
  temperature: 0.1
model: powerful
""",
)


def test_values_defaults_and_input_are_filled_in() -> None:
    """Variables take the request's value, else the default; $$ is a dollar sign."""
    rendered = STAGE.render({"stage": "design"}, "The documents.")

    assert rendered.prompt == "Stage design, budget $100:\nThe documents.\n"
    assert rendered.system == "You judge the stage design."
    assert STAGE.options == {"temperature": 0.1}
    assert STAGE.model == "powerful"


def test_values_are_data() -> None:
    """A value that looks like a variable is not expanded."""
    rendered = STAGE.render({"stage": "$budget", "budget": "${stage}"}, "$stage")

    assert rendered.prompt == "Stage $budget, budget $${stage}:\n$stage\n"


def test_a_missing_value_is_named() -> None:
    """The first variable without a value is the field."""
    with pytest.raises(MissingVariable) as caught:
        STAGE.render({}, "x")
    assert caught.value.field == "params.stage"

    with pytest.raises(MissingVariable) as caught:
        STAGE.render({"stage": "design"})
    assert caught.value.field == "params.input"


def test_an_unknown_value_is_named() -> None:
    """A value for no variable is a slip of the caller and says what there is."""
    with pytest.raises(UnknownVariable, match="budget, input, stage") as caught:
        STAGE.render({"stage": "x", "stag": "y"}, "x")

    assert caught.value.field == "params.stag"


def test_input_may_be_a_parameter() -> None:
    """`params.input` is the same as the request's prompt."""
    assert STAGE.render({"stage": "a", "input": "b"}) == STAGE.render({"stage": "a"}, "b")


def test_a_prompt_goes_behind_a_template_without_input() -> None:
    """As on llm's command line, user input is never silently dropped."""
    template = parse("t", b"prompt: Answer in one word.")

    assert template.render({}, "Is 7 prime?").prompt == "Answer in one word.\nIs 7 prime?"


def test_a_system_only_template_takes_the_prompt() -> None:
    """Without a prompt of its own the input is the prompt, and needed."""
    template = parse("t", b"system: Be brief.")

    assert template.render({}, "Hi").prompt == "Hi"
    with pytest.raises(MissingVariable):
        template.render({})


def test_rendering_to_nothing_is_refused() -> None:
    """A template whose values leave no prompt asks no model."""
    with pytest.raises(EmptyPrompt):
        parse("t", b"prompt: $input").render({}, "  \n")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"functions: |\n  def f(): pass\nprompt: x", "functions"),
        (b"fragments: [/etc/passwd]\nprompt: x", "fragments"),
        (b"attachments: [http://127.0.0.1/x]\nprompt: x", "attachments"),
        (b"tools: [shell]\nprompt: x", "tools"),
        (b"promt: x", "promt"),
        (b"prompt: costs $5", "write \\$\\$"),
        (b"prompt: [1]", "prompt"),
        (b"- a\n- b", "mapping"),
        (b"", "mapping"),
        (b"prompt: 'x", "not YAML"),
        (b"prompt: \xff", "not YAML"),
        (b"options: {}", "neither prompt nor system"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(content: Any, says: Any) -> None:
    """Code, files, URLs, slips and broken YAML are faults that name the file."""
    with pytest.raises(TemplateFault, match=says) as caught:
        parse("bad", content)

    assert str(caught.value).startswith("bad.yaml: ")


@pytest.mark.parametrize("name", ["../secret", "Upper", "-x", "", "a b", "x" * 65])
def test_names_are_plain(name: Any) -> None:
    """A template's name has only lower-case letters, digits, _ and -."""
    with pytest.raises(TemplateFault):
        parse(name, b"prompt: x")


def test_the_hash_is_that_of_the_file() -> None:
    """Any edit, and nothing else, makes a new identity."""
    assert parse("t", b"prompt: x").ref == parse("t", b"prompt: x").ref
    assert parse("t", b"prompt: x").ref != parse("t", b"prompt: x ").ref


def test_the_fast_reader_reads_what_the_plain_one_does() -> None:
    """Every shipped template means the same where PyYAML was built without libyaml."""
    for path in resource("templates").glob("*.yaml"):
        content = path.read_bytes()
        assert yaml.load(content, YAML_LOADER) == yaml.safe_load(content)


def test_a_bare_text_is_a_prompt() -> None:
    """llm's shortest format, a single string, works."""
    assert parse("t", b"Say hello to $input.").render({}, "Ann").prompt == "Say hello to Ann."


def test_a_library_finds_by_name_only(tmp_path: Path) -> None:
    """A name is looked up, never opened; every bad file is reported."""
    (tmp_path / "good.yaml").write_text("prompt: x $input")
    (tmp_path / "bad.yaml").write_text("prompt: $5")
    (tmp_path / "worse.yaml").write_text("- 1")

    library, faults = PromptLibrary.inspect(tmp_path)

    assert [template.ref.name for template in library] == ["good"]
    assert len(faults) == 2
    with pytest.raises(TemplateFault):
        PromptLibrary.load(tmp_path)
    for name in ("bad", "../good", str(tmp_path / "good.yaml"), "http://127.0.0.1/x"):
        with pytest.raises(UnknownTemplate):
            library.find(name)


def test_a_missing_folder_is_a_fault(tmp_path: Path) -> None:
    """A configured folder that does not exist stops the start."""
    with pytest.raises(TemplateFault, match="no such folder"):
        PromptLibrary.load(tmp_path / "none")


def test_the_shipped_templates_load() -> None:
    """Every template in `templates/` is usable."""
    library = PromptLibrary.load(resource("templates"))

    assert {"summarize", "next-step", "extract-facts"} <= {t.ref.name for t in library}
