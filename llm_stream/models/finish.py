"""How an answer ended, told apart from an answer that was cut."""

from typing import Any, Final

import llm

from llm_stream.errors import UpstreamFailed
from llm_stream.models.chunks import Finish
from llm_stream.models.faults import clean

AnyResponse = llm.Response | llm.AsyncResponse

REPORT_THEIR_END: Final = ("llm.default_plugins.", "llm_anthropic", "llm_gemini")
"""Plugins whose providers say how an answer ended. Without that word it was cut: they report no
error when a connection ends early (docs/architecture.md, "Models")."""


def finish_of(response: AnyResponse, model_id: str) -> Finish:
    """The last chunk of a response whose iterator has ended.

    Raises:
        UpstreamFailed: the provider always says how an answer ends and did not: it was cut.
    """
    reason = _finish_reason(response)
    if reason is None and type(response.model).__module__.startswith(REPORT_THEIR_END):
        raise UpstreamFailed(
            f"{model_id}: the answer broke off without its provider's end mark. Try again."
        )
    said = response.response_json if isinstance(response.response_json, dict) else {}
    model = response.resolved_model or said.get("model")
    return Finish(
        finish_reason=clean(reason or "stop"),
        model=clean(model) if isinstance(model, str) else None,
        input_tokens=_count(response.input_tokens),
        output_tokens=_count(response.output_tokens),
        details=response.token_details or {},
    )


def _finish_reason(response: AnyResponse) -> str | None:
    """The provider's own word for why it ended, from wherever its plugin keeps it."""
    said = response.response_json if isinstance(response.response_json, dict) else {}
    candidates = said.get("candidates")
    if isinstance(candidates, list) and candidates and isinstance(candidates[0], dict):
        said = {"finish_reason": candidates[0].get("finishReason")} | said
    reason = said.get("finish_reason") or said.get("stop_reason")
    if reason is None and said.get("status") in {"completed", "incomplete"}:
        reason = {"completed": "stop", "incomplete": "length"}[said["status"]]
    return None if reason is None else str(reason)


def _count(tokens: Any) -> int | None:
    return tokens if isinstance(tokens, int) and tokens >= 0 else None
