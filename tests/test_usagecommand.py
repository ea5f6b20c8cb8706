"""`llm-stream usage`: what it shows of a running service, and what it asks."""

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.request import Request, urlopen

import pytest

from .serving import serving
from .test_cachecommands import answering
from .test_cli import ECHO, PROGRAM, invoke

pytestmark = pytest.mark.slow

HEADS = ["CALLS", "CACHED", "JOINED", "SUCCESS", "TOKENS", "IN", "TOKENS", "OUT", "COST", "P50",
         "P99", "FIRST", "P50"]  # fmt: skip


def group(**figures: Any) -> dict[str, Any]:
    """A group as the service answers it."""
    return {
        "calls": 4, "cached": 1, "joined": 1, "completed": 1, "failed": 1, "cancelled": 0,
        "cached_share": 0.25, "joined_share": 0.25, "success_share": 0.5, "model_calls": 2,
        "input_tokens": 30, "output_tokens": 4, "estimated_input_tokens": 0,
        "estimated_output_tokens": 2, "cost": 0.5, "estimated_cost": 0.25, "unpriced_tokens": 0,
        "latency_ms": {"p50": 9, "p90": 90, "p99": 1250}, "first_token_ms": None,
    } | figures  # fmt: skip


def answer(*groups: dict[str, Any], by: tuple[str, ...] = ("model",), **more: Any) -> Any:
    """An account as the service answers it."""
    return {"group_by": by, "groups": groups, "total": group(), "not_recorded": 0} | more


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a service that has been asked twice."""
    with serving(PROGRAM, cwd=tmp_path_factory.mktemp("served"), env=ECHO) as served:
        for _ in range(2):
            body = json.dumps({"prompt": "One?", "model": "fast"}).encode()
            headers = {"Content-Type": "application/json"}
            with urlopen(Request(f"{served.url}/v1/generate", body, headers)) as reply:
                assert reply.status == 200
        yield served.url


def test_it_shows_a_row_a_group(url: str) -> None:
    """Values first, then figures, and the total below."""
    done = invoke("usage", "--by", "model,tier", "--since", "1h", "--url", url)
    head, row, total, *_ = done.stdout.splitlines()

    assert head.split() == ["MODEL", "TIER", *HEADS]
    assert row.split()[:6] == ["echo", "fast", "2", "50.0%", "0.0%", "100.0%"]
    assert total.split()[:2] == ["total", "2"]


def test_json_is_what_the_service_answers(url: str) -> None:
    """For programs nothing is rounded or left out."""
    found = json.loads(invoke("usage", "--json", "--by", "", "--url", url).stdout)

    assert found["groups"] == []
    assert (found["total"]["calls"], found["total"]["cached"]) == (2, 1)


def test_estimates_are_marked() -> None:
    """A figure with an estimate in it begins with a tilde; what is not known is a dash."""
    with answering(answer(group(model="m"), group(model="", cost=None))) as (service, server):
        done = invoke("usage", "--url", service.url)
    _, first, second, _ = (re.split(r"\s{2,}", line) for line in done.stdout.splitlines())

    assert server.asked == ["GET /v1/usage?group_by=model"]
    assert first == [
        "m", "4", "25.0%", "25.0%", "50.0%", "30", "~6", "~0.7500", "9ms", "1.25s", "-"
    ]  # fmt: skip
    assert (second[0], second[7]) == ("-", "-")


def test_without_groups_there_is_one_row() -> None:
    """The total, without a name."""
    with answering(answer(by=())) as (service, _):
        done = invoke("usage", "--by", "", "--url", service.url)

    head, row = done.stdout.splitlines()
    assert head.split() == HEADS
    assert row.split()[0] == "4"


def test_what_is_missing_is_told() -> None:
    """Runs that were not recorded, and tokens that have no price."""
    total = group(unpriced_tokens=7)
    with answering(answer(group(model="m"), total=total, not_recorded=3)) as (service, _):
        done = invoke("usage", "--url", service.url)

    assert "3 runs could not be recorded" in done.stdout
    assert "7 tokens are of models without a price (cache.prices)" in done.stdout


def test_nothing_is_told_as_nothing() -> None:
    """A new service has no calls."""
    with answering(answer(total=group(calls=0))) as (service, _):
        assert invoke("usage", "--url", service.url).stdout == "no calls\n"


def test_a_bad_moment_is_refused_by_the_service(url: str) -> None:
    """Its own words, with the field, and exit code 1."""
    done = invoke("usage", "--since", "yesterday", "--url", url)

    assert done.exit_code == 1
    assert "(field: since)" in done.stderr
