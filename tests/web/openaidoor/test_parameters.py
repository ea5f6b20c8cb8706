"""Parameters: what is kept, what is ignored, and what is refused by its name."""

from typing import Any

import openai
import pytest

from llm_stream.testing import ScriptedModel

from .conftest import ASKED, HELLO


def user(*parts: dict[str, Any]) -> dict[str, Any]:
    """A question of these parts."""
    return {"messages": [{"role": "user", "content": [*parts]}]}


URL = {"type": "image_url", "image_url": {"url": "https://example.org/x.png"}}
NOT_BASE64 = {"type": "image_url", "image_url": {"url": "data:image/png;base64,?"}}
TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
SYSTEM = {"role": "system", "content": "x"}


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"store": True}, "store"),
        ({"service_tier": "flex"}, "service_tier"),
        ({"tools": [TOOL | {"type": "custom"}]}, "tools.0.type"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"modalities": ["audio"]}, "modalities.0"),
        ({"audio": {"format": "wav", "voice": "alloy"}}, "audio"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"seed": "x"}, "seed"),
        ({"temperature": 3}, "temperature"),
        ({"stop": "END"}, "stop"),
        ({"max_completion_tokens": 0}, "max_completion_tokens"),
        ({"max_completion_tokens": 1, "max_tokens": 1}, "max_tokens"),
        ({"reasoning_effort": "low"}, "reasoning_effort"),
        ({"logit_bias": {"1": 2}}, "logit_bias"),
        ({"response_format": {"type": "xml"}}, "response_format"),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}},
         "response_format.json_schema.schema"),
        ({"response_format": {"type": "json_schema",
                              "json_schema": {"name": "x", "schema": {"type": "?"}}}},
         "response_format.json_schema.schema"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user", "content": " "}]}, "messages"),
        ({"messages": [{"role": "user", "content": 1}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": None}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": "x", "name": "Ann"}]}, "messages.0.name"),
        ({"messages": [{"role": "function", "content": "x"}]}, "messages.0.role"),
        ({"messages": [SYSTEM, SYSTEM, *HELLO, SYSTEM, *HELLO]}, "messages.3.role"),
        (user(URL), "messages.0.content.0.image_url.url"),
        (user({"type": "text", "text": "x"}, NOT_BASE64), "messages.0.content.1.image_url.url"),
        (user({"type": "file", "file": {"file_id": "f"}}), "messages.0.content.0.file.file_data"),
        ({"extra_body": {"cache": {"mode": "maybe"}}}, "cache.mode"),
        ({"extra_body": {"fallback_models": ["nobody"]}}, "fallback_models.0"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
async def test_what_is_not_kept_is_named(
    gpt: Any, model: ScriptedModel, asked: dict[str, Any], param: str
) -> None:
    """A 400 or 404 with the parameter as the caller knows it; no model was asked."""
    with pytest.raises((openai.BadRequestError, openai.NotFoundError)) as raised:
        await gpt.chat.completions.create(**{**ASKED, **asked})

    assert raised.value.param == param
    assert raised.value.type == "invalid_request_error"
    assert model.calls == []


@pytest.mark.parametrize(
    "asked",
    [
        {"user": "x", "safety_identifier": "x", "metadata": {"a": "b"}},
        {"store": False, "service_tier": "auto", "n": 1, "logprobs": False, "top_logprobs": 0},
        {"presence_penalty": 0, "frequency_penalty": 0.0, "logit_bias": {}, "stop": []},
        {"parallel_tool_calls": True, "tools": [], "tool_choice": "none"},
        {"modalities": ["text"], "response_format": {"type": "text"}},
        {"prompt_cache_key": "x", "prompt_cache_retention": "24h"},
        {"stop": None, "seed": None, "max_tokens": None, "temperature": None},
    ],
    ids=lambda asked: next(iter(asked)),
)
async def test_what_changes_nothing_is_taken(
    gpt: Any, model: ScriptedModel, asked: dict[str, Any]
) -> None:
    """The question is the same as without it, so that its answer is a kept one."""
    await gpt.chat.completions.create(**ASKED)
    raw = await gpt.chat.completions.with_raw_response.create(**ASKED, **asked)

    assert "hit" in raw.headers["Cache-Status"]
    assert model.calls[0].options == {}


async def test_options_reach_the_model(gpt: Any, model: ScriptedModel) -> None:
    """Under the names that the model has for them."""
    await gpt.chat.completions.create(**ASKED, temperature=0.5, seed=7, max_completion_tokens=9)

    assert model.calls[0].options == {"temperature": 0.5, "seed": 7, "max_tokens": 9}


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"previous_response_id": ""}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"tools": [{"type": "web_search"}]}, "tools.0.type"),
        ({"truncation": "auto"}, "truncation"),
        ({"include": ["reasoning.encrypted_content"]}, "include"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"reasoning": {"effort": "low"}}, "reasoning.effort"),
        ({"text": {"verbosity": "low"}}, "text.verbosity"),
        ({"text": {"format": {"type": "json_schema", "name": "x", "schema": {"type": "?"}}}},
         "text.format.schema"),
        ({"input": []}, "input"),
        ({"input": " "}, "input"),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "http://x"}]}]},
         "input.0.content.0.image_url"),
        ({"input": [{"type": "web_search_call", "id": "x"}]}, "input.0.type"),
        ({"input": [{"role": "assistant", "content": "x"}]}, "input.0.role"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
async def test_what_responses_do_not_keep_is_named(
    gpt: Any, model: ScriptedModel, asked: dict[str, Any], param: str
) -> None:
    """The same for /v1/responses."""
    with pytest.raises(openai.BadRequestError) as raised:
        await gpt.responses.create(**{"model": "scripted", "input": "x", **asked})

    assert raised.value.param == param
    assert model.calls == []
