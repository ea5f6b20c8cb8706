"""What a principal may do."""

import pytest

from llm_stream.access.principal import Principal
from llm_stream.errors import Forbidden
from llm_stream.recipes.spec import RunSpec, TemplateRef


def test_admin_may_everything() -> None:
    """Others what their scopes say."""
    assert Principal(scopes=frozenset({"admin"})).may("cache:write")
    assert Principal(scopes=frozenset({"run:read"})).may("run:read")
    assert not Principal(scopes=frozenset({"run:read"})).may("run:create")


@pytest.mark.parametrize("models", [None, ("gpt-4o",), ("gpt-*",), ("fast",)])
def test_a_model_on_the_list_may_be_used(models: tuple[str, ...] | None) -> None:
    """By its id, a pattern or an alias; without a list, all."""
    Principal(models=models).check(RunSpec(recipe="generate", model="gpt-4o"), {"fast": "gpt-4o"})


@pytest.mark.parametrize(
    "spec",
    [
        RunSpec(recipe="generate", model="o3"),
        RunSpec(recipe="generate", model="gpt-4o", fallback_models=("o3",)),
        RunSpec(recipe="batch", model="gpt-4o", children=(RunSpec(recipe="generate", model="o3"),)),
    ],
)
def test_another_model_may_not_be_used(spec: RunSpec) -> None:
    """Not as a fallback, nor within a batch."""
    with pytest.raises(Forbidden, match="'o3'"):
        Principal(models=("gpt-4o",)).check(spec, {})


def test_only_templates_on_the_list_may_be_used() -> None:
    """The pattern decides by the template's name."""
    spec = RunSpec(recipe="generate", model="m", template=TemplateRef("query", "0" * 12))
    Principal(templates=("qu*",)).check(spec, {})

    with pytest.raises(Forbidden, match="'query'"):
        Principal(templates=("other",)).check(spec, {})
