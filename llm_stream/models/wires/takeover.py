"""Models that llm's plugins register, made anew on our wires: same id, same options.

What a plugin's object says of its model is read from its attributes (llm 0.36, llm-anthropic
0.30, llm-gemini 0.35); plugins are told by the names of their classes, so none has to be
installed.
"""

from typing import Any, Final

from llm_stream.models.wires.anthropic import ClaudeModel, ClaudeTraits
from llm_stream.models.wires.endpoint import Endpoint
from llm_stream.models.wires.gemini import GeminiModel
from llm_stream.models.wires.model import Abilities, WireModel
from llm_stream.models.wires.openaichat import ChatModel
from llm_stream.models.wires.openairesponses import ResponsesModel

TAKEN_OVER: Final = {
    ("llm.default_plugins.openai_models", "AsyncChat"): "openai",
    ("llm.default_plugins.openai_models", "AsyncResponses"): "openai",
    ("llm_anthropic", "AsyncClaudeMessages"): "anthropic",
    ("llm_gemini", "AsyncGeminiPro"): "gemini",
}
"""(module, class) of a plugin's models -> the provider whose configuration holds for them."""


def provider_of(model: Any) -> str | None:
    """The provider of a plugin's model that one of our wires can ask, None for others."""
    return TAKEN_OVER.get((type(model).__module__, type(model).__name__))


def on_our_wire(model: Any, endpoint: Endpoint, kind: str) -> WireModel:
    """The same model on our wire.

    Args:
        model: one for which `provider_of` has a provider.
        endpoint: where to ask it.
        kind: what the provider speaks, by configuration. "openai" = chat completions only.
    """
    abilities = Abilities(
        options=model.Options,
        attachment_types=frozenset(model.attachment_types),
        can_stream=bool(model.can_stream),
        supports_schema=bool(model.supports_schema),
        supports_tools=bool(model.supports_tools),
    )
    match type(model).__name__:
        case "AsyncClaudeMessages":
            traits = ClaudeTraits(
                thinks=model.supports_thinking,
                adaptive=model.supports_adaptive_thinking,
                by_default=model.thinks_by_default,
                always=model.always_thinks,
                structured=model.use_structured_outputs,
                max_tokens=model.default_max_tokens,
            )
            return ClaudeModel(
                model.model_id, model.claude_model_id, endpoint, abilities, traits=traits
            )
        case "AsyncGeminiPro":
            thinks = bool(model.can_thinking_budget or model.thinking_levels)
            return GeminiModel(
                model.model_id, model.gemini_model_id, endpoint, abilities, thinks=thinks
            )
    name = model.model_name or model.model_id
    if type(model).__name__ == "AsyncResponses" and kind != "openai":
        reasons = bool(model._reasoning)  # noqa: SLF001 - nothing else says it
        return ResponsesModel(model.model_id, name, endpoint, abilities, reasons=reasons)
    return ChatModel(model.model_id, name, endpoint, abilities)
