"""What the models say in the examples of docs/cli.md."""

import json
from typing import Any

from llm_stream.testing import Script
from llm_stream.testing.scripted import Call

from .shelled import judged, task


def hours(low: int, likely: int, high: int) -> dict[str, Any]:
    """The effort of a task."""
    return {"low": low, "likely": likely, "high": high, "unit": "hours"}


PLAN = [
    task("basket", title="Keep what a customer chooses in a basket", effort=hours(4, 6, 9)),
    task("address", title="Ask where it is sent to", effort=hours(2, 3, 4)),
    task("provider", title="Choose who takes cards", type="decision", effort=hours(2, 2, 2)),
    task("payment", "basket", "provider", title="Take a card, and tell when it fails",
         effort=hours(6, 9, 16), covers=["r1"]),
    task("order", "address", "payment", title="Keep the order, and confirm it by mail",
         effort=hours(3, 4, 6)),
]  # fmt: skip

RETURNS = {
    "what": "Nothing is said of returns", "why": "Customers have that right", "severity": "high",
    "next_action": "decide who pays for them",
}  # fmt: skip


def answer(call: Call) -> Script:
    """A plan, a judgement, or a sentence, whichever is asked for."""
    names = (call.schema or {}).get("properties", {})
    if "tasks" in names:
        said = json.dumps({"tasks": PLAN, "open_questions": ["Is there a guest checkout?"]})
        return Script(chunks=(said,))
    if "rating" in names and "returns" in str(call.messages[-1]):
        reason = "The notes are silent about returns."
        return Script(chunks=(json.dumps(judged("unmet", reason=reason, missing=[RETURNS])),))
    if "rating" in names:
        quote = {"source": "notes.md", "quote": "Pages: start, list, lamp, basket, checkout."}
        reason = "Five pages are named."
        return Script(chunks=(json.dumps(judged("met", reason=reason, evidence=[quote])),))
    if "Why" in call.prompt:
        return Script(chunks=("To be bought from.",))
    return Script(chunks=("A list of lamps,", " a basket,", " and a checkout."))
