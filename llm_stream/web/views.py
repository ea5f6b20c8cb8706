"""How a run is shown: the folded answer, the snapshot, the line in a list, cache headers."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from llm_stream.engine.directory import Listed
from llm_stream.engine.fold import Fold
from llm_stream.engine.recording import Recording
from llm_stream.engine.run import Run
from llm_stream.engine.runinfo import RunInfo


def answer(info: RunInfo, fold: Fold, *, joined: bool) -> dict[str, Any]:
    """The plain JSON answer of a completed run: text, or the recipe's own result."""
    return {"id": info.id, **_said(info, fold), "cache": cache_facts(info, joined=joined)}


def replayed(info: RunInfo, recording: Recording) -> bytes:
    """`answer`, encoded, of an instant replay: most of it is the same for all of one recording."""
    said = recording.derived("answer", lambda made: orjson.dumps(_said(info, made.fold))[1:-1])
    cache = b'"status":"hit","key":"%b","age_seconds":%d,"ttl_seconds":%d' % (
        info.key.encode(),
        info.age_seconds or 0,
        info.ttl_seconds or 0,
    )
    return b'{"id":"%b",%b,"cache":{%b}}' % (info.id.encode(), said, cache)


def _said(info: RunInfo, fold: Fold) -> dict[str, Any]:
    terminal = fold.terminal or {}
    body: dict[str, Any] = {
        "recipe": info.recipe,
        "model": answering_model(info, fold),
    }
    if info.recipe == "generate":
        body["text"] = "".join(fold.text)
        if info.structured and not fold.tool_calls:
            body["data"] = terminal.get("result")
    else:
        body |= terminal["result"]
    if info.recipe == "batch":
        places = {int(item["path"].partition("/")[2]): item["value"] for item in fold.items}
        body["results"] = [places[place] for place in sorted(places)]
    if fold.reasoning:
        body["reasoning"] = "".join(fold.reasoning)
    if fold.tool_calls:
        body["tool_calls"] = fold.calls
    return body | {
        "finish_reason": terminal.get("finish_reason"),
        "usage": terminal.get("usage"),
        "cached": info.cache == "hit",
        "timings": terminal.get("timings"),
        "attempts": terminal.get("attempts"),
    }


def cache_facts(info: RunInfo, *, joined: bool) -> dict[str, Any]:
    """Where an answer came from."""
    facts: dict[str, Any] = {"status": "joined" if joined else info.cache, "key": info.key}
    if info.age_seconds is not None:
        facts |= {"age_seconds": info.age_seconds, "ttl_seconds": info.ttl_seconds}
    return facts


def summary(run: Run) -> dict[str, Any]:
    """A run as one line of GET /v1/runs."""
    return summary_line(Listed.of(run))


def summary_line(line: Listed) -> dict[str, Any]:
    """One line of GET /v1/runs."""
    info = line.info
    return {
        "id": info.id,
        "recipe": info.recipe,
        "model": info.model,
        "state": line.state,
        "title": info.title,
        "cursor": line.cursor,
        "key": info.key,
        "template": info.template,
        "tags": list(info.tags),
        "created_at": datetime.fromtimestamp(info.created_at, UTC).isoformat(
            timespec="milliseconds"
        ),
        "statistics": dict(line.statistics()),
    }


def snapshot(run: Run) -> dict[str, Any]:
    """GET /v1/runs/{id}: everything so far; follow on from `cursor` without a gap."""
    fold = Fold(run.events())
    terminal = fold.terminal or {}
    body = summary(run) | {
        "model": answering_model(run.info, fold),
        "text": "".join(fold.text),
        "reasoning": "".join(fold.reasoning) or None,
        "items": fold.items,
        "usage": fold.usage,
    }
    if run.log.holed:
        body["incomplete"] = True
    for name in ("finish_reason", "result", "text_sha256", "error", "reason", "attempts"):
        if name in terminal:
            body[name] = terminal[name]
    return body


def answering_model(info: RunInfo, fold: Fold) -> str:
    """The model that answered: the last fallback tried, else the one asked."""
    tried = [failure["next"]["model"] for failure in fold.failures if failure["next"]]
    return str(tried[-1]) if tried else info.model


def run_headers(run: Run, *, joined: bool) -> dict[str, str]:
    """`X-Run-Id`, `Cache-Status` as of RFC 9211, `Age` on a hit.

    A negative `ttl` is a stale answer; `detail=unrepeatable` says that the same call, made again,
    could be answered otherwise.
    """
    info = run.info
    headers = {"X-Run-Id": info.id}
    if joined:
        status = "fwd=miss; collapsed"
    elif info.cache == "hit":
        status = f"hit; ttl={info.ttl_seconds}"
        headers["Age"] = str(info.age_seconds)
    else:
        status = f"fwd={info.cache}"
    detail = "; detail=unrepeatable" if info.unrepeatable else ""
    headers["Cache-Status"] = f'llm-stream; {status}; key="{info.key}"{detail}'
    return headers


def cache_word(headers: Mapping[str, str]) -> str | None:
    """What `run_headers` said of the cache, as `run.started` does; None: it said nothing."""
    status = headers.get("Cache-Status")
    if status is None:
        return None
    word = status.split("; ", 3)[1:]
    if word[1] == "collapsed":
        return "joined"
    return "hit" if word[0] == "hit" else word[0].removeprefix("fwd=")
