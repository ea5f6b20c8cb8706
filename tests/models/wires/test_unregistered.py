import pytest

from llm_stream.models.wires.anthropic import ClaudeTraits
from llm_stream.models.wires.unregistered import claude_traits, plausible


@pytest.mark.parametrize(
    ("name", "thinks", "structured", "max_tokens"),
    [
        ("claude-3-opus-20240229", False, False, 4096),
        ("claude-3-5-haiku-latest", False, False, 8192),
        ("claude-3-7-sonnet-latest", True, False, 8192),
        ("claude-opus-4-20250514", True, False, 32_000),
        ("claude-opus-4-1-20250805", True, False, 32_000),
        ("claude-sonnet-4-0", True, False, 32_000),
        ("claude-opus-4", True, False, 32_000),
        ("claude-haiku-4-5", True, True, 64_000),
        ("claude-opus-9", True, True, 64_000),
    ],
)
def test_what_a_claude_can_do_by_its_name(
    name: str, thinks: bool, structured: bool, max_tokens: int
) -> None:
    """Old names are known; whatever is new can do what today's models can."""
    expected = ClaudeTraits(thinks=thinks, structured=structured, max_tokens=max_tokens)

    assert claude_traits(name) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gpt-4o", True),
        ("org/model:7b-q4_K_M", True),
        ("ft:gpt-4o:org::abc", True),
        ("models@cf/x+y", True),
        ("", False),
        ("../x", False),
        ("a/../b", False),
        ("-x", False),
        ("a b", False),
        ("a?b", False),
        ("a#b", False),
        ("a%2fb", False),
        ("a\nb", False),
        ("modèle", False),
        ("x" * 129, False),
    ],
)
def test_what_a_model_can_be_called(name: str, expected: bool) -> None:
    """Names that could leave their place in a URL, or that nobody has, are none."""
    assert plausible(name) is expected
