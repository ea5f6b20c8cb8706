"""What finished elements out of streaming JSON cost, beside one parse of the whole.

    python benchmarks/incremental.py

A 2 MB answer of 8,000 tasks in 4-byte chunks, through `ElementStream` and through ijson at once.
"""

import statistics
import time
from collections.abc import Callable

import ijson  # type: ignore[import-untyped]
import orjson

from llm_stream.recipes.incremental import ElementStream

TASK = {"id": "t", "title": "x" * 120, "depends_on": ["a"], "effort": {"low": 1, "high": 2}}
BAR = 5.0


def seconds(work: Callable[[], int], repeat: int = 5) -> float:
    """Median CPU seconds of the work, which has to find 8,000 elements."""
    found = []
    for _ in range(repeat):
        began = time.process_time()
        if work() != 8_000:
            raise SystemExit("elements are missing")
        found.append(time.process_time() - began)
    return statistics.median(found)


def main() -> None:
    """Measure and print."""
    text = orjson.dumps({"tasks": [TASK | {"description": "y" * 60}] * 8_000}).decode()
    chunks = [text[n : n + 4] for n in range(0, len(text), 4)]

    def stream() -> int:
        elements, count = ElementStream("tasks"), 0
        for chunk in chunks:
            if found := elements.feed(chunk):
                count += len(found)
        return count

    def whole() -> int:
        return sum(1 for _ in ijson.items(text, "tasks.item", use_float=True))

    one, many = seconds(whole), seconds(stream)
    print(f"{len(text) / 1e6:.2f} MB, {len(chunks)} chunks")
    print(f"one parse of the whole {one * 1000:7.1f} ms")
    print(f"element stream         {many * 1000:7.1f} ms, {many / one:.1f} times (bar {BAR:g})")


if __name__ == "__main__":
    main()
