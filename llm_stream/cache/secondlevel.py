"""The contract of what stands behind the shelf."""

from collections.abc import Sequence
from typing import Protocol

from llm_stream.cache.stored import Stored


class SecondLevel(Protocol):
    """Where answers are found that are on the shelf no more. Neither method raises."""

    async def find(self, key: str) -> Stored | None:
        """The newest answer of this fingerprint, however old."""

    async def forget(
        self, keys: Sequence[str] = (), *, name: str | None = None, older_than_seconds: float = 0
    ) -> int:
        """Drop answers by fingerprint or under a name; how many there were."""
