"""The modules that have no page in them, run in the browser that will run them."""

import ast
from typing import Any

import pytest

from llm_stream.testing.service import RunningService

from .conftest import OpenPage, Shown, in_one_loop

pytestmark = pytest.mark.browser


@in_one_loop
async def bare(open_page: OpenPage, service: RunningService) -> Shown:
    """A tab in which modules can be imported."""
    return await open_page(service)


async def parse(tab: Shown, *pieces: str) -> list[dict[str, Any]]:
    """What the parser of `client/eventparser.js` makes of a stream that comes in these pieces."""
    program = """async (pieces) => {
      const { EventStreamParser } = await import("/static/client/eventparser.js");
      const parser = new EventStreamParser();
      return pieces.flatMap((piece) => parser.push(piece));
    }"""
    found: list[dict[str, Any]] = await tab.page.evaluate(program, list(pieces))
    return found


async def test_the_sse_parser_obeys_the_standard(bare: Shown) -> None:
    """Comments, names, several data lines, missing spaces and every line end are understood."""
    stream = ": hello\r\rid: 1-1\ndata:a\r\ndata: b\n\nevent: gap\ndata\n\nid: 1-2\n\ndata: c\n\n"

    assert await parse(bare, stream) == [
        {"id": "1-1", "name": "", "data": "a\nb"},
        {"id": "1-1", "name": "gap", "data": ""},
        {"id": "1-2", "name": "", "data": "c"},
    ]


async def test_the_sse_parser_is_indifferent_to_cuts(bare: Shown) -> None:
    """Cut at any place, a stream gives the same events."""
    stream = 'id: 1-7\r\ndata: {"text":"é 日"}\r\n\r\nid: 1-8\rdata: x\r\rdata: y\n\n'
    whole = await parse(bare, stream)
    program = """async (stream) => {
      const { EventStreamParser } = await import("/static/client/eventparser.js");
      return [...stream].map((_, cut) => {
        const parser = new EventStreamParser();
        return [...parser.push(stream.slice(0, cut)), ...parser.push(stream.slice(cut))];
      });
    }"""

    assert len(whole) == 3
    assert all(events == whole for events in await bare.page.evaluate(program, stream))


async def test_arrivals_lose_no_count(bare: Shown) -> None:
    """However long a run, its bins stay few and hold every arrival."""
    program = """async () => {
      const { Arrivals } = await import("/static/arrivals.js");
      const arrivals = new Arrivals();
      for (let ms = 0; ms < 3_600_000; ms += 1_000) arrivals.add(ms);
      const { counts, share } = arrivals.upTo(3_600_000);
      return [counts.length, counts.reduce((a, b) => a + b), share >= 1];
    }"""
    bins, arrivals, covers = await bare.page.evaluate(program)

    assert bins <= 180
    assert arrivals == 3600
    assert covers


async def test_back_off_is_full_jitter(bare: Shown) -> None:
    """A wait is anything from nothing to a bound that doubles, up to ten seconds."""
    program = """async () => {
      const { backoff } = await import("/static/client/patience.js");
      return [0, 3, 50].map((attempt) => {
        const waits = Array.from({ length: 500 }, () => backoff(attempt));
        return [Math.min(...waits), Math.max(...waits)];
      });
    }"""
    bounds = await bare.page.evaluate(program)

    for (low, high), bound in zip(bounds, (250, 2_000, 10_000), strict=True):
        assert 0 <= low < bound / 10
        assert bound * 0.9 < high <= bound


async def test_requests_become_literals_of_python(bare: Shown) -> None:
    """Any JSON value is written as Python reads it."""
    value = {
        "a": [True, False, None, 1.5, -2, "\u2028\"'\\\n日"],
        "empty": {},
        "none": [],
        "deep": {"x": [{"y": 1}]},
    }
    program = """async (value) => {
      const { snippets } = await import("/static/view/snippets.js");
      return snippets("http://host", "generate", value)[1].text;
    }"""
    text = await bare.page.evaluate(program, value)
    body = text.partition("body = ")[2].partition("\nrequest = ")[0]

    assert ast.literal_eval(body) == value
