"""A run that was read as events, as the JSON that its plain call answers (docs/api-recipes.md)."""

from typing import Any

from llm_stream.engine.fold import Fold


def plain_answer(fold: Fold) -> dict[str, Any]:
    """The answer of a completed run, read from its first event.

    Args:
        fold: all of its events.
    """
    started, end = fold.started, fold.terminal or {}
    tried = [failure["next"]["model"] for failure in fold.failures if failure["next"]]
    answer: dict[str, Any] = {
        "id": started["run"],
        "recipe": started["recipe"],
        "model": tried[-1] if tried else started["model"],
    }
    if started["recipe"] == "generate":
        answer["text"] = "".join(fold.text)
        if end["result"] is not None:
            answer["data"] = end["result"]
    else:
        answer |= end["result"]
    if started["recipe"] == "batch":
        places = {int(item["path"].partition("/")[2]): item["value"] for item in fold.items}
        answer["results"] = [places[place] for place in sorted(places)]
    if fold.reasoning:
        answer["reasoning"] = "".join(fold.reasoning)
    if fold.tool_calls:
        names = ("tool_call_id", "name", "arguments")
        answer["tool_calls"] = [{name: call[name] for name in names} for call in fold.tool_calls]
    cache = {"status": started["cache"], "key": started["key"]}
    if "age_seconds" in started:
        cache["age_seconds"] = started["age_seconds"]
    return answer | {
        "finish_reason": end["finish_reason"],
        "usage": end["usage"],
        "cached": started["cache"] == "hit",
        "timings": end["timings"],
        "attempts": end["attempts"],
        "cache": cache,
    }
