"""What providers' headers say of their limits."""

import pytest

from llm_stream.models.wires.ratelimits import limits_in

DATE = "Fri, 27 Nov 2026 12:00:00 GMT"


def openai(remaining: str, reset: str, of: str = "requests") -> dict[str, str]:
    """As OpenAI says it."""
    return {f"x-ratelimit-remaining-{of}": remaining, f"x-ratelimit-reset-{of}": reset}


def anthropic(remaining: str, reset: str, of: str = "requests") -> dict[str, str]:
    """As Anthropic says it."""
    return {
        f"anthropic-ratelimit-{of}-remaining": remaining,
        f"anthropic-ratelimit-{of}-reset": reset,
        "date": DATE,
    }


READ = [
    (openai("3", "1s"), (3, 1.0)),
    (openai("0", "6m0s"), (0, 360.0)),
    (openai("0", "1h2m3.5s"), (0, 3723.5)),
    (openai("0", "120ms"), (0, 0.12)),
    (openai("0", "59.5"), (0, 59.5)),
    (openai("3", "1s") | openai("0", "9s", "tokens"), (0, 9.0)),
    (openai("0", "2s") | openai("0", "9s", "tokens"), (0, 9.0)),
    (openai("3", "1s") | openai("100", "9s", "tokens"), (3, 1.0)),
    (openai("0", "1s", "tokens"), (0, 1.0)),
    (anthropic("2", "2026-11-27T12:00:07Z"), (2, 7.0)),
    (anthropic("2", "2026-11-27T13:00:07+01:00"), (2, 7.0)),
    (anthropic("0", "2026-11-27T11:00:00Z"), (0, 0.0)),
    (anthropic("0", "2026-11-27T12:00:05Z", "output-tokens"), (0, 5.0)),
]


@pytest.mark.parametrize(("headers", "limits"), READ)
def test_limits_are_read(headers: dict[str, str], limits: tuple[int, float]) -> None:
    """Spans and moments, requests and exhausted tokens; moments by the provider's clock."""
    assert limits_in(headers) == limits


SILENT = [
    {},
    openai("100", "9s", "tokens"),
    openai("", "1s"),
    openai("-1", "1s"),
    openai("many", "1s"),
    openai("0", ""),
    openai("0", "soon"),
    openai("0", "1s" * 3 + "x"),
    openai("9" * 400, "1s"),
    anthropic("0", "2026-13-77T12:00:00Z"),
    {"x-ratelimit-remaining-requests": "0"},
]


@pytest.mark.parametrize("headers", SILENT)
def test_what_cannot_be_read_says_nothing(headers: dict[str, str]) -> None:
    """Nonsense holds nobody back."""
    assert limits_in(headers) is None


def test_a_moment_without_the_providers_clock_is_by_ours() -> None:
    """A moment long past is no time at all, one far off is far off."""
    past = anthropic("0", "2000-01-01T00:00:00Z") | {"date": ""}
    future = anthropic("0", "2999-01-01T00:00:00")

    assert limits_in(past) == (0, 0.0)
    for absurd in ("yesterday", "Wed, 21 Oct 99999999999 07:28:00 GMT"):
        assert (limits_in(future | {"date": absurd}) or (0, 0.0))[1] > 1e9
