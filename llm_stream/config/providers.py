"""The section of one provider of models, and the four that are there without being configured."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from llm_stream.config.section import Name, Section

ProviderName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
BaseUrl = Annotated[
    str, StringConstraints(pattern=r"^(https?://[^/\s?#@]+(/[^\s?#@]*)?)?$", max_length=500)
]
Variable = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Kind = Literal["openai", "openai_responses", "anthropic", "gemini", "palm"]


class ProviderSection(Section):
    """Where a provider is, what it speaks, and which of its models are offered."""

    kind: Kind = Field(
        default="openai",
        description="What it speaks: openai (chat completions, as most servers do),"
        " openai_responses, anthropic, gemini or palm.",
    )
    base_url: BaseUrl = Field(
        default="", description="Its address; its key goes there and nowhere else."
    )
    api_key_env: tuple[Variable, ...] = Field(
        default=(),
        description="Environment variables that may hold its keys, in order, before llm's store"
        " under the provider's name; a further key is used while one is limited or refused."
        " [] = it needs no key.",
    )
    models: tuple[Name, ...] = Field(
        default=(), description="Its models to list, by its own names; <provider>/<name> here."
    )
    patterns: tuple[Name, ...] = Field(
        default=(),
        description="Names that go to it without being listed, with * and ?; <provider>/<name>"
        " always does.",
    )
    transport: Literal["wire", "plugin"] = Field(
        default="wire",
        description='"wire" = the service speaks to it itself; "plugin" = the classes of llm\'s'
        " plugins do, for the models they register.",
    )
    connect_seconds: float = Field(default=10.0, gt=0, description="How long connecting may take.")
    probe_seconds: float = Field(
        default=0.0,
        ge=0,
        description="After how long without a call it is asked for its list of models, which costs"
        " nothing, so that a fault is known before the next call; 0 = never.",
    )
    mock: bool = Field(
        default=False,
        description="Whether it is `llm-stream mock-providers`: the page has a menu of its faults.",
    )
    successor: str = Field(
        default="",
        max_length=200,
        description="Model that answers for its models while base_url is empty.",
    )


def built_in_providers() -> dict[str, ProviderSection]:
    """OpenAI, Anthropic and Google, as they are reached today."""
    return {
        "openai": ProviderSection(
            kind="openai_responses",
            base_url="https://api.openai.com/v1",
            api_key_env=("OPENAI_API_KEY",),
            patterns=("gpt-*", "chatgpt-*", "o[1-9]*"),
        ),
        "anthropic": ProviderSection(
            kind="anthropic",
            base_url="https://api.anthropic.com",
            api_key_env=("ANTHROPIC_API_KEY",),
            patterns=("claude-*",),
        ),
        "gemini": ProviderSection(
            kind="gemini",
            base_url="https://generativelanguage.googleapis.com",
            # The first is what llm-gemini reads, the others what Google's own SDK does.
            api_key_env=("LLM_GEMINI_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY"),
            patterns=("gemini-*", "gemma-*"),
        ),
        # Google ended this API on 2024-08-15.
        "palm": ProviderSection(
            kind="palm",
            api_key_env=("PALM_API_KEY",),
            models=("chat-bison-001", "text-bison-001"),
            successor="gemini/gemini-flash-latest",
        ),
    }
