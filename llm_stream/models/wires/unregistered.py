"""Models that no plugin registers: by the configured provider and the provider's own name.

What is not known of such a model is assumed to be what its provider's newest can do.
"""

import re
from typing import Final

from llm_stream.config import ProviderSection
from llm_stream.models.wires.anthropic import ClaudeModel, ClaudeTraits
from llm_stream.models.wires.endpoint import Endpoint
from llm_stream.models.wires.gemini import GeminiModel
from llm_stream.models.wires.model import Abilities, WireModel
from llm_stream.models.wires.openaichat import ChatModel
from llm_stream.models.wires.openairesponses import ResponsesModel
from llm_stream.models.wires.options import (
    ChatOptions,
    ClaudeOptions,
    GeminiOptions,
    PalmOptions,
    ResponsesOptions,
)
from llm_stream.models.wires.palm import PalmModel

PICTURES: Final = frozenset({"image/png", "image/jpeg", "image/webp", "image/gif"})
DOCUMENTS: Final = PICTURES | {"application/pdf"}

UPSTREAM_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@/+-]{0,127}")
"""What the name of a model looks like, anywhere; ".." is none all the same."""


def plausible(name: str) -> bool:
    """Whether a provider could have a model of this name. Says nothing of whether it has."""
    return UPSTREAM_NAME.fullmatch(name) is not None and ".." not in name


def unregistered(name: str, endpoint: Endpoint, section: ProviderSection) -> WireModel:
    """A model with the id `<provider>/<name>`.

    Args:
        name: the provider's own; a plausible one.
        endpoint: where to ask it.
        section: what the provider speaks.
    """
    model_id = f"{endpoint.provider}/{name}"
    place = (model_id, name, endpoint)
    match section.kind:
        case "openai":
            return ChatModel(*place, Abilities(ChatOptions, DOCUMENTS))
        case "openai_responses":
            reasons = re.match(r"gpt-[1-4]|chatgpt|.*-chat\b", name) is None
            return ResponsesModel(*place, Abilities(ResponsesOptions, DOCUMENTS), reasons=reasons)
        case "anthropic":
            return ClaudeModel(
                *place, Abilities(ClaudeOptions, DOCUMENTS), traits=claude_traits(name)
            )
        case "gemini":
            return GeminiModel(*place, Abilities(GeminiOptions, DOCUMENTS), thinks=False)
        case "palm":
            abilities = Abilities(
                PalmOptions, can_stream=False, supports_schema=False, supports_tools=False
            )
            return PalmModel(*place, abilities)


def claude_traits(name: str) -> ClaudeTraits:
    """What is known of a Claude by its name; all that is new keeps to schemas."""
    if name.startswith("claude-3"):
        newer = name.startswith(("claude-3-5", "claude-3-7"))
        return ClaudeTraits(
            thinks=name.startswith("claude-3-7"),
            structured=False,
            max_tokens=8192 if newer else 4096,
        )
    if re.match(r"claude-(opus|sonnet)-4(-0|-1|-2025|$)", name):
        return ClaudeTraits(structured=False, max_tokens=32_000)
    return ClaudeTraits()
