"""A run as a response object: whole, or as far as it has come."""

from typing import Any, Final

from llm_stream.engine.fold import Fold
from llm_stream.engine.run import Run
from llm_stream.engine.runinfo import RunInfo
from llm_stream.web.openaidoor.failures import cancelled, failure_of
from llm_stream.web.openaidoor.replies import (
    arguments_of,
    counts,
    finish_reason,
    kept_of,
    text_of,
)
from llm_stream.web.openaidoor.responsesshapes import ResponsesBody
from llm_stream.web.views import answering_model

INCOMPLETE: Final = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""How an answer ended -> why it is not all there would be to say."""

PREFIX: Final = "resp_"


def response_id(run: str) -> str:
    """The id of the response that a run is."""
    return PREFIX + run.removeprefix("run_")


def run_id(response: str) -> str:
    """The id of the run that a response is."""
    return "run_" + response.removeprefix(PREFIX)


def usage_of(terminal: dict[str, Any] | None) -> dict[str, Any] | None:
    """The counts under OpenAI's names; None where the model did not say."""
    counted = counts(terminal)
    if counted is None:
        return None
    asked, said = counted
    return {
        "input_tokens": asked,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": said,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": asked + said,
    }


def reasoning_item(run: str, text: str | None, number: int = 0) -> dict[str, Any]:
    """The thoughts of an answer, as their summary; None: they begin."""
    summary = [] if text is None else [{"type": "summary_text", "text": text}]
    return {"id": f"rs_{_rest(run)}_{number}", "type": "reasoning", "summary": summary}


def message_item(run: str, text: str | None, status: str, number: int = 0) -> dict[str, Any]:
    """The text of an answer; None: it begins."""
    return {
        "id": f"msg_{_rest(run)}_{number}",
        "type": "message",
        "status": status,
        "role": "assistant",
        "content": [] if text is None else [text_part(text)],
    }


def text_part(text: str) -> dict[str, Any]:
    """The only part that a message has."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def call_item(run: str, call: dict[str, Any], number: int) -> dict[str, Any]:
    """A whole call of a tool."""
    return {
        "id": f"fc_{_rest(run)}_{number}",
        "type": "function_call",
        "status": "completed",
        "call_id": call["tool_call_id"],
        "name": call["name"],
        "arguments": arguments_of(call),
        **kept_of(call),
    }


def response(
    info: RunInfo, model: str, terminal: dict[str, Any] | None, output: list[dict[str, Any]]
) -> dict[str, Any]:
    """The response object of a run that has said this so far."""
    status, error, incomplete = "in_progress", None, None
    match (terminal or {}).get("type"):
        case "run.completed":
            reason = finish_reason(terminal)
            status = "incomplete" if reason in INCOMPLETE else "completed"
            incomplete = {"reason": INCOMPLETE[reason]} if reason in INCOMPLETE else None
        case "run.failed":
            status, failure = "failed", failure_of((terminal or {})["error"])
            error = {"code": failure["code"], "message": failure["message"]}
        case "run.cancelled":
            status, failure = "cancelled", cancelled((terminal or {})["reason"])
            error = {"code": failure["code"], "message": failure["message"]}
    return {
        "id": response_id(info.id),
        "object": "response",
        "created_at": int(info.created_at),
        "status": status,
        "error": error,
        "incomplete_details": incomplete,
        "model": model,
        "output": output,
        "usage": usage_of(terminal),
        **UNTOLD,
    }


UNTOLD: Final[dict[str, Any]] = {
    "background": False,
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "reasoning": None,
    "store": True,
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": None,
    "truncation": "disabled",
}
"""What a response tells of a request that said nothing. Every run is kept: `store` is true."""


def told_of(body: ResponsesBody) -> dict[str, Any]:
    """What a response tells of its request."""
    told: dict[str, Any] = body.model_dump(
        mode="json", by_alias=True, exclude_none=True, include=UNTOLD.keys() - {"store"}
    )
    return told


def snapshot(run: Run, fold: Fold, told: dict[str, Any]) -> dict[str, Any]:
    """The response object of a run, of everything it has said.

    Thoughts come before the text here, and calls of tools behind it, in whatever order they came.
    """
    info, output = run.info, list[dict[str, Any]]()
    whole = run.state == "completed"
    if fold.reasoning:
        output.append(reasoning_item(info.id, "".join(fold.reasoning)))
    if fold.text or (whole and not fold.tool_calls):
        text = text_of(fold, structured=info.structured and whole)
        status = "completed" if whole else "in_progress" if fold.terminal is None else "incomplete"
        output.append(message_item(info.id, text, status, len(output)))
    for call in fold.tool_calls:
        output.append(call_item(info.id, call, len(output)))
    return response(info, answering_model(info, fold), fold.terminal, output) | told


def _rest(run: str) -> str:
    return run.removeprefix("run_")
