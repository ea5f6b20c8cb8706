"""How many calls a provider says it will still take, and until when: response headers as figures.

Sources: OpenAI's guide "Rate limits" (`x-ratelimit-*`, which compatible servers send as well) and
Anthropic's API reference "Rate limits" (`anthropic-ratelimit-*`). Google sends neither.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

NoteLimits = Callable[[str, int, float], None]
"""Is told (model id, calls that will still be taken, seconds until the limit is reset)."""

REQUESTS: Final = (
    ("x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
    ("anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-reset"),
)
"""Headers with the calls that are left and their reset."""

TOKENS: Final = (
    ("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
    ("anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset"),
    ("anthropic-ratelimit-input-tokens-remaining", "anthropic-ratelimit-input-tokens-reset"),
    ("anthropic-ratelimit-output-tokens-remaining", "anthropic-ratelimit-output-tokens-reset"),
)
"""The same of tokens: how many calls they are enough for nobody knows, unless there are none."""

_COUNT: Final = re.compile(r"\d{1,15}")
_NUMBER: Final = r"\d{1,9}(?:\.\d{1,9})?"
_SPAN: Final = re.compile(rf"(?:{_NUMBER}(?:ms|[hms]))+")
_PART: Final = re.compile(rf"({_NUMBER})(ms|[hms])")
_SECONDS_OF: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def limits_in(headers: Mapping[str, str]) -> tuple[int, float] | None:
    """Calls that will still be taken, and seconds until that is reset; None = nothing is said.

    Of several limits the one that stops calls for longest counts. What cannot be read says
    nothing: a limit is a courtesy, and 429 will tell.

    Args:
        headers: of a response of any status, by name in any case.
    """
    said = [
        *_figures(headers, REQUESTS),
        *(found for found in _figures(headers, TOKENS) if found[0] == 0),
    ]
    exhausted = [found for found in said if found[0] == 0]
    if exhausted:
        return max(exhausted, key=lambda found: found[1])
    return min(said, default=None)


def _figures(
    headers: Mapping[str, str], names: tuple[tuple[str, str], ...]
) -> Iterator[tuple[int, float]]:
    for remaining, reset in names:
        left = headers.get(remaining)
        if left is None or not _COUNT.fullmatch(left.strip()):
            continue
        if (seconds := _until(headers, reset)) is not None:
            yield int(left), seconds


def _until(headers: Mapping[str, str], name: str) -> float | None:
    """Seconds of `1s`, `6m0s`, `120ms`, `59.7` or of a moment as RFC 3339 has it."""
    value = headers.get(name, "").strip()
    if _SPAN.fullmatch(value):
        return sum(float(number) * _SECONDS_OF[unit] for number, unit in _PART.findall(value))
    if re.fullmatch(_NUMBER, value):
        return float(value)
    try:
        when = datetime.fromisoformat(value)
    except ValueError:
        return None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, (when - _now(headers)).total_seconds())


def _now(headers: Mapping[str, str]) -> datetime:
    """The provider's own clock if it shows it: its moments are of that clock, not of ours."""
    return http_date(headers.get("date", "")) or datetime.now(UTC)


def http_date(text: str) -> datetime | None:
    """The moment that a date of HTTP (RFC 9110) means; None if it is none."""
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return when if when.tzinfo else when.replace(tzinfo=UTC)
