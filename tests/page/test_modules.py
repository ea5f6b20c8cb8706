"""The modules that have no page in them, run in the browser that will run them."""

import ast
from typing import Any

import pytest
from playwright.async_api import Page

pytestmark = pytest.mark.browser


async def parse(modules: Page, *pieces: str) -> list[dict[str, Any]]:
    """What the parser of `client/eventparser.js` makes of a stream that comes in these pieces."""
    program = """async (pieces) => {
      const { EventStreamParser } = await import("/static/client/eventparser.js");
      const parser = new EventStreamParser();
      return pieces.flatMap((piece) => parser.push(piece));
    }"""
    found: list[dict[str, Any]] = await modules.evaluate(program, list(pieces))
    return found


async def test_the_sse_parser_obeys_the_standard(modules: Page) -> None:
    """Comments, names, several data lines, missing spaces and every line end are understood."""
    stream = ": hello\r\rid: 1-1\ndata:a\r\ndata: b\n\nevent: gap\ndata\n\nid: 1-2\n\ndata: c\n\n"

    assert await parse(modules, stream) == [
        {"id": "1-1", "name": "", "data": "a\nb"},
        {"id": "1-1", "name": "gap", "data": ""},
        {"id": "1-2", "name": "", "data": "c"},
    ]


async def test_the_sse_parser_is_indifferent_to_cuts(modules: Page) -> None:
    """Cut at any place, a stream gives the same events."""
    stream = 'id: 1-7\r\ndata: {"text":"é 日"}\r\n\r\nid: 1-8\rdata: x\r\rdata: y\n\n'
    whole = await parse(modules, stream)
    program = """async (stream) => {
      const { EventStreamParser } = await import("/static/client/eventparser.js");
      return [...stream].map((_, cut) => {
        const parser = new EventStreamParser();
        return [...parser.push(stream.slice(0, cut)), ...parser.push(stream.slice(cut))];
      });
    }"""

    assert len(whole) == 3
    assert all(events == whole for events in await modules.evaluate(program, stream))


async def test_arrivals_lose_no_count(modules: Page) -> None:
    """However long a run, its bins stay few and hold every arrival."""
    program = """async () => {
      const { Arrivals } = await import("/static/arrivals.js");
      const arrivals = new Arrivals();
      for (let ms = 0; ms < 3_600_000; ms += 1_000) arrivals.add(ms);
      const { counts, share } = arrivals.upTo(3_600_000);
      return [counts.length, counts.reduce((a, b) => a + b), share >= 1];
    }"""
    bins, arrivals, covers = await modules.evaluate(program)

    assert bins <= 180
    assert arrivals == 3600
    assert covers


LINE: dict[str, Any] = {
    "id": "run_1", "title": "One?", "model": "m", "template": None, "text": "", "reasoning": None,
    "items": [], "tool_calls": [], "runs": [], "messages": [], "finish_reason": "stop",
    "result": None, "error_code": None,
    "statistics": {"total_ms": 7, "first_token_ms": 1, "input_tokens": 2, "output_tokens": 3},
}  # fmt: skip


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (
            {"recipe": "evaluate", "result": {"criteria": [{"id": "c1"}]}},
            {"items": [{"path": "criteria/0", "value": {"id": "c1"}}]},
        ),
        (
            {"recipe": "breakdown", "result": {"tasks": [{"id": "t1"}]}},
            {"items": [{"path": "tasks/0", "value": {"id": "t1"}}]},
        ),
        ({"recipe": "evaluate", "text": "x"}, {"recipe": "generate", "items": []}),
        (
            {"recipe": "reason", "result": {"steps": [{"step": "s", "title": "S", "text": "x"}]}},
            {"steps": [{"id": "s", "title": "S", "text": ["x"], "done": True}]},
        ),
        (
            {"recipe": "batch", "runs": [{"id": "run_2", "recipe": "reason", "state": "failed"}]},
            {
                "items": [
                    {
                        "path": "results/0",
                        "value": {"id": "reason", "status": "failed", "run": "run_2"},
                    }
                ],
                "elapsedMs": 7,
                "tokens": 3,
            },
        ),
    ],
    ids=["verdict", "plan", "deleted", "steps", "batch"],
)
async def test_runs_of_the_past_are_made_of_what_is_left(
    modules: Page, told: dict[str, Any], expected: dict[str, Any]
) -> None:
    """Pieces come out of a result that is all there is; what is missing breaks no view."""
    program = """async ([told, names]) => {
      const { PastRun } = await import("/static/pastrun.js");
      const run = new PastRun(told);
      return Object.fromEntries(names.map((name) => [name, run[name]]));
    }"""
    asked = [LINE | {"state": "completed"} | told, [*expected]]

    assert await modules.evaluate(program, asked) == expected


@pytest.mark.parametrize("state", ["failed", "cancelled"])
async def test_runs_of_the_past_say_why_they_ended(modules: Page, state: str) -> None:
    """A failure by its kind, a cancel by its reason, and nothing of trying again."""
    program = """async (told) => {
      const { PastRun } = await import("/static/pastrun.js");
      const { ending } = await import("/static/view/ending.js");
      return ending(new PastRun(told)).words;
    }"""
    why = {"reason": "abandoned", "error": {"title": "It failed", "type": "/docs/errors#x"}}
    told = LINE | {"recipe": "generate", "state": state, "error_code": "x", "text": "Hello"} | why
    words = await modules.evaluate(program, told)

    assert words == [
        *{
            "failed": ["It failed.", "The history keeps the kind of a failure, not its words."],
            "cancelled": ["Nobody read it any more."],
        }[state],
        "What is here is a part: 5 characters had come.",
    ]


async def test_back_off_is_full_jitter(modules: Page) -> None:
    """A wait is anything from nothing to a bound that doubles, up to ten seconds."""
    program = """async () => {
      const { backoff } = await import("/static/client/patience.js");
      return [0, 3, 50].map((attempt) => {
        const waits = Array.from({ length: 500 }, () => backoff(attempt));
        return [Math.min(...waits), Math.max(...waits)];
      });
    }"""
    bounds = await modules.evaluate(program)

    for (low, high), bound in zip(bounds, (250, 2_000, 10_000), strict=True):
        assert 0 <= low < bound / 10
        assert bound * 0.9 < high <= bound


async def test_requests_become_literals_of_python(modules: Page) -> None:
    """Any JSON value is written as Python reads it."""
    value = {
        "a": [True, False, None, 1.5, -2, "\u2028\"'\\\n日"],
        "empty": {},
        "none": [],
        "deep": {"x": [{"y": 1}]},
    }
    program = """async (value) => {
      const { literal } = await import("/static/view/python.js");
      return literal(value, "");
    }"""

    assert ast.literal_eval(await modules.evaluate(program, value)) == value
