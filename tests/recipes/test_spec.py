"""The spec: its fingerprint is the identity of a request."""

from dataclasses import replace
from typing import Any

import pytest

from llm_stream.models.chunks import Attachment, Message
from llm_stream.models.timers import Timeouts
from llm_stream.models.toolset import Tool, ToolCall, Toolset
from llm_stream.recipes.material import delimited
from llm_stream.recipes.spec import CacheControl, RunSpec, TemplateRef, dump_spec, load_spec

SPEC = RunSpec(
    recipe="generate",
    model="smollm2",
    messages=(Message("system", "Be brief."), Message("user", "Plan a small web shop.")),
    options={"temperature": 0.2, "max_tokens": 100},
)


def test_the_fingerprint_is_golden() -> None:
    """It never changes between processes and releases, unless its version does."""
    assert SPEC.fingerprint() == (
        "2b78923d21c67bcbf1b164451e0079f3191d3d42869fdfb1994843f5f88bd399"
    )


def test_the_order_of_options_does_not_matter() -> None:
    """Equal options in another order are the same request."""
    assert (
        replace(SPEC, options={"max_tokens": 100, "temperature": 0.2}).fingerprint()
        == SPEC.fingerprint()
    )


@pytest.mark.parametrize(
    "change",
    [
        {"recipe": "reason"},
        {"model": "gpt-5"},
        {"messages": (Message("user", "Be brief."), Message("user", "Plan a small web shop."))},
        {"messages": (*SPEC.messages[:1], Message("user", "Plan", (Attachment("a/b", b"1"),)))},
        {"options": {"temperature": 0.3, "max_tokens": 100}},
        {"schema": {"type": "object"}},
        {"tools": Toolset((Tool("f"),))},
        {"tools": Toolset((Tool("f", strict=True),))},
        {"tools": Toolset((Tool("f"),), "none")},
        {"messages": (*SPEC.messages[:1], Message("user", "Plan", (), (ToolCall("c", "f", {}),)))},
        {"messages": (*SPEC.messages[:1], Message("tool", "Plan", tool_call_id="c"))},
        {"messages": (*SPEC.messages[:1], Message("tool", "Plan", tool_call_id="d"))},
        {"template": TemplateRef("t", "abc")},
        {"owner": "ann"},
    ],
)
def test_what_changes_the_answer_changes_the_fingerprint(change: Any) -> None:
    """Recipe, model, messages, attachments, options, schema, tools, template and owner count."""
    assert replace(SPEC, **change).fingerprint() != SPEC.fingerprint()


def test_a_spec_with_tools_is_written_and_read() -> None:
    """Another replica that takes it over asks the same."""
    call = ToolCall("c", "f", {"a": 1}, {"gemini": {"thoughtSignature": "x"}})
    turns = (Message("assistant", "", (), (call,)), Message("tool", "2", tool_call_id="c"))
    tools = Toolset((Tool("f", "Adds.", {"type": "object"}, strict=True),), "required", "f")
    spec = replace(SPEC, messages=(*SPEC.messages, *turns), tools=tools)

    read = load_spec(dump_spec(spec))

    assert read == spec
    assert read.fingerprint() == spec.fingerprint()


@pytest.mark.parametrize(
    "change",
    [
        {"cache": CacheControl(mode="refresh", tags=("a",), ttl_seconds=5)},
        {"timeouts": Timeouts(1, 1, 1)},
        {"fallback_models": ("x",)},
        {"on_midstream_failure": "restart"},
        {"abandon_seconds": 3},
        {"tags": ("a",)},
        {"parent": "run_1"},
        {"request": "req_1"},
    ],
)
def test_what_does_not_change_the_answer_does_not_count(change: Any) -> None:
    """Cache control, timers, fallbacks, policy, tags and ids are no part of it."""
    assert replace(SPEC, **change).fingerprint() == SPEC.fingerprint()


def test_attachments_count_by_content() -> None:
    """Two different files of one type are two requests."""
    one, two = (
        replace(SPEC, messages=(Message("user", "Look", (Attachment("image/png", data),)),))
        for data in (b"1", b"2")
    )

    assert one.fingerprint() != two.fingerprint()


def test_the_title_of_a_recipes_call_is_of_its_material() -> None:
    """Marks that keep material apart say nothing to people."""
    prompt = f"{delimited({'notes': 'Pages: start.', 'spec': 'Lamps.'})}\n\nJudge it."
    spec = RunSpec(recipe="generate", model="m", messages=(Message("user", prompt),))

    assert spec.title == "Pages: start. Lamps. Judge it."


def test_the_title_is_the_prompts_first_words() -> None:
    """At most 80 characters of the last user turn, on one line."""
    spec = replace(SPEC, messages=(Message("user", "Plan\n\n  a shop " + "x" * 200),))

    assert spec.title.startswith("Plan a shop xxx")
    assert len(spec.title) == 80
