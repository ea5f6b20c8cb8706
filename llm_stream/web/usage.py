"""The account over HTTP: what was asked, how it went, and what it has cost."""

import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from aiohttp import web

from llm_stream.cache.savings import Price
from llm_stream.errors import InvalidField, NotFound
from llm_stream.history.spending import Spent
from llm_stream.history.usage import DIMENSIONS, Asked, Dimension, Key, Sums
from llm_stream.web.auth import principal_of
from llm_stream.web.negotiation import json_response
from llm_stream.web.service import SERVICE

UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
"""Of durations, in seconds."""

DIGITS: Final = 6
"""Of shares and costs."""

routes = web.RouteTableDef()


@routes.get("/v1/usage")
async def usage(request: web.Request) -> web.Response:
    """Sums since `?since=`, by `?group_by=`; the group that has spent most comes first.

    A client sees its own; one with the scope `admin`, and everybody where no keys are asked for,
    sees all.
    """
    service = request.config_dict[SERVICE]
    dimensions = dimensions_of(request.query.get("group_by", ""))
    now = time.time()
    since = moment_of(request.query.get("since"), now)
    history = service.history
    if history is None:
        raise NotFound("There is no account: it is made of the history, which is switched off.")
    principal = principal_of(request)
    whose = None if principal.may("admin") else principal.owner
    found = await history.usage(dimensions, Asked(since, whose))
    prices = service.prices
    groups = [
        dict(zip(dimensions, key, strict=True)) | told(sums, prices)
        for key, sums in sorted(found.groups.items(), key=rank)
    ]
    facts = history.facts()
    return json_response(
        {
            "group_by": list(dimensions),
            "since": stamp(since) if since else None,
            "until": stamp(now),
            "oldest": None if found.oldest is None else stamp(found.oldest),
            "groups": groups,
            "total": told(found.total, prices),
            "not_recorded": facts.dropped,
        }
    )


def dimensions_of(text: str) -> tuple[Dimension, ...]:
    """What is grouped by, each once, in the order it was named; nothing for "".

    Raises:
        InvalidField: it is no list of dimensions (the caller's doing).
    """
    named = dict.fromkeys(text.split(",")) if text else {}
    known: dict[str, Dimension] = {each: each for each in DIMENSIONS}
    chosen = tuple(known[each] for each in named if each in known)
    if len(chosen) < len(named):
        raise InvalidField(
            f"?group_by= takes {', '.join(DIMENSIONS)}, separated by commas.", field="group_by"
        )
    return chosen


def moment_of(text: str | None, now: float) -> float:
    """Seconds since 1970 of a point in time, or of the begin of a span that ends now; None: 0.

    Args:
        text: ISO 8601, UTC where it names no zone, or a number with a unit: `90m`, `24h`, `7d`.
        now: seconds since 1970.

    Raises:
        InvalidField: it is neither, or not over yet (the caller's doing).
    """
    if text is None:
        return 0.0
    if span := re.fullmatch(r"([0-9]{1,6})([smhdw])", text):
        return max(0.0, now - int(span[1]) * UNITS[span[2]])
    try:
        # The + of a zone is a space where whoever wrote the query has not quoted it.
        named = datetime.fromisoformat(re.sub(r" (?=\d\d:?\d\d$)", "+", text))
        moment = (named if named.tzinfo else named.replace(tzinfo=UTC)) - datetime.fromtimestamp(
            0, UTC
        )
    except (ValueError, OverflowError):
        moment = timedelta(seconds=-1)
    if not 0 <= moment.total_seconds() <= now:
        raise InvalidField(
            "?since= takes a time that has passed, as 2026-11-27T09:00:00Z, or a span as 90m, 24h"
            " or 7d.",
            field="since",
        )
    return moment.total_seconds()


def rank(group: tuple[Key, Sums]) -> tuple[float, Key]:
    """Groups with more tokens come first, equal ones by name."""
    key, sums = group
    return -sum(sum(spent[1:]) for spent in sums.spent.values()), key


def told(sums: Sums, prices: Mapping[str, Price]) -> dict[str, Any]:
    """The sums as a caller reads them; shares and quantiles are null where there is nothing."""
    ended, reused = sums.ended, sums.reused
    calls = sum(ended) + sum(reused)
    return {
        "calls": calls,
        **reused._asdict(),
        **ended._asdict(),
        "cached_share": share(reused.cached, calls),
        "joined_share": share(reused.joined, calls),
        "success_share": share(ended.completed, ended.completed + ended.failed),
        **spending(sums.spent, prices),
        "latency_ms": sums.latency_ms or None,
        "first_token_ms": sums.first_token_ms or None,
    }


def spending(spent: Mapping[str, Spent], prices: Mapping[str, Price]) -> dict[str, Any]:
    """Calls of models, their tokens and what they cost, null where no model has a price."""
    total = Spent()
    cost = estimated = 0.0
    unpriced = 0
    for model, one in spent.items():
        total = total.plus(one)
        if (price := prices.get(model)) is None:
            unpriced += sum(one[1:])
        else:
            cost += price.cost(one.input_tokens, one.output_tokens)
            estimated += price.cost(one.estimated_input_tokens, one.estimated_output_tokens)
    priced = any(model in prices for model in spent)
    figures = total._asdict()
    return {
        "model_calls": figures.pop("calls"),
        **figures,
        "cost": round(cost, DIGITS) if priced else None,
        "estimated_cost": round(estimated, DIGITS) if priced else None,
        "unpriced_tokens": unpriced,
    }


def share(part: int, whole: int) -> float | None:
    """How much of the whole it is, 0 to 1; None of nothing."""
    return round(part / whole, DIGITS) if whole else None


def stamp(seconds: float) -> str:
    """A moment as ISO 8601."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
