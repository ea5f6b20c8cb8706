"""The bridge from a blocking iterator to the loop."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from llm_stream.models.syncbridge import pump


async def test_items_come_in_order_and_errors_where_they_happen() -> None:
    """Everything before the failure arrives, then the failure itself."""

    def numbers() -> Iterator[Any]:
        yield from range(1000)
        raise ValueError("at 1000")

    seen = []
    with ThreadPoolExecutor(1) as pool, pytest.raises(ValueError, match="at 1000"):
        async for number in pump(numbers, pool):
            seen.append(number)

    assert seen == list(range(1000))


async def test_a_failing_start_is_told() -> None:
    """An iterator that cannot be made raises in the reader."""

    def broken() -> Iterator[int]:
        raise OSError("no weights")

    with ThreadPoolExecutor(1) as pool, pytest.raises(OSError, match="no weights"):
        async for _ in pump(broken, pool):
            pass
