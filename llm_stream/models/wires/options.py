"""Options of models that no plugin of llm registers.

A model that a plugin does register keeps the plugin's own class, so that options mean the same.
Names and ranges here are those of llm's plugins, for the options all such models have.
"""

from typing import Any, Literal

import llm
from pydantic import Field

Temperature = Field(default=None, ge=0, le=2, description="Randomness; 0 is the least.")
TopP = Field(default=None, ge=0, le=1, description="Probability mass that is sampled from.")
TopK = Field(default=None, ge=1, description="How many tokens are sampled from.")
MaxTokens = Field(default=None, ge=1, description="Most tokens of the answer.")
JsonObject = Field(default=None, description="Answer with a JSON object; the prompt has to ask.")

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class ChatOptions(llm.Options):
    """Of a model behind chat completions."""

    temperature: float | None = Temperature
    max_tokens: int | None = MaxTokens
    top_p: float | None = TopP
    frequency_penalty: float | None = Field(
        default=None, ge=-2, le=2, description="Above 0: fewer repetitions by their number."
    )
    presence_penalty: float | None = Field(
        default=None, ge=-2, le=2, description="Above 0: fewer repetitions of any number."
    )
    stop: str | list[str] | None = Field(default=None, description="Texts that end the answer.")
    seed: int | None = Field(default=None, description="Makes an answer repeatable, mostly.")
    logit_bias: dict[str, int] | None = Field(
        default=None, description="Likelihood of tokens, by their number."
    )
    json_object: bool | None = JsonObject
    reasoning_effort: Effort | None = Field(default=None, description="How much it thinks.")


class ResponsesOptions(llm.Options):
    """Of a model behind OpenAI's Responses."""

    temperature: float | None = Temperature
    max_tokens: int | None = MaxTokens
    top_p: float | None = TopP
    json_object: bool | None = JsonObject
    reasoning_effort: Effort | None = Field(default=None, description="How much it thinks.")
    reasoning_summary: Literal["auto", "concise", "detailed"] | None = Field(
        default=None, description="How its thoughts are summed up."
    )
    verbosity: Literal["low", "medium", "high"] | None = Field(
        default=None, description="How much it says."
    )
    image_detail: Literal["low", "high", "original", "auto"] | None = Field(
        default=None, description="How closely images are looked at."
    )
    service_tier: str | None = Field(default=None, description="Speed and price.")
    chat_completions: bool | None = Field(
        default=None, description="Use chat completions instead of Responses."
    )


class ClaudeOptions(llm.Options):
    """Of a model behind Anthropic's messages."""

    max_tokens: int | None = MaxTokens
    temperature: float | None = Field(
        default=None, ge=0, le=1, description="Randomness; 0 is the least."
    )
    top_p: float | None = TopP
    top_k: int | None = TopK
    user_id: str | None = Field(default=None, description="Whom the request is for.")
    stop_sequences: list[str] | None = Field(default=None, description="Texts that end the answer.")
    cache: bool | None = Field(default=None, description="Let the provider cache the prompt.")
    thinking: bool | None = Field(default=None, description="Whether it thinks first.")
    thinking_effort: Literal["low", "medium", "high", "xhigh", "max"] | None = Field(
        default=None, description="How much it thinks."
    )


class GeminiOptions(llm.Options):
    """Of a model behind Gemini's generateContent."""

    temperature: float | None = Temperature
    max_output_tokens: int | None = MaxTokens
    top_p: float | None = TopP
    top_k: int | None = TopK
    json_object: bool | None = JsonObject
    thinking_budget: int | None = Field(default=None, description="Most tokens of thinking.")
    thinking_level: Literal["minimal", "low", "medium", "high"] | None = Field(
        default=None, description="How much it thinks."
    )


class PalmOptions(llm.Options):
    """Of a model behind PaLM's generateMessage and generateText."""

    temperature: float | None = Field(
        default=None, ge=0, le=1, description="Randomness; 0 is the least."
    )
    max_output_tokens: int | None = MaxTokens
    top_p: float | None = TopP
    top_k: int | None = TopK


def given(options: Any) -> dict[str, Any]:
    """The options that were set, by name, as plain JSON values."""
    values: dict[str, Any] = options.model_dump(mode="json", exclude_none=True)
    return values
