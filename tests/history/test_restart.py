"""The second level of the cache, seen from outside: services that follow each other."""

from pathlib import Path
from typing import Any

import aiohttp
import pytest

from llm_stream.testing import ScriptedModel
from llm_stream.testing.service import running_service

from ..conftest import settings
from .conftest import rows


class Restarts:
    """Services one after the other with the same database and model."""

    def __init__(self, path: Path, http: aiohttp.ClientSession) -> None:
        self.model = ScriptedModel("scripted")
        self._path = path
        self._http = http

    async def ask(self, *bodies: dict[str, Any], cache: Any = None) -> list[str]:
        """Start a service, ask it, stop it: `cache.status` of each answer."""
        chosen = settings(history={"enabled": True, "path": str(self._path)}, cache=cache or {})
        found = []
        async with running_service(chosen, [self.model]) as service:
            for body in bodies:
                async with self._http.post(f"{service.url}/v1/generate", json=body) as response:
                    answer = await response.json()
                    assert answer["text"] == "Hello, world."
                    found.append(answer["cache"]["status"])
        return found

    async def drop(self, key: str) -> int:
        """Start a service, drop an entry by its key over HTTP, stop it: the status."""
        chosen = settings(history={"enabled": True, "path": str(self._path)})
        async with (
            running_service(chosen, [self.model]) as service,
            self._http.delete(f"{service.url}/v1/cache/{key}") as response,
        ):
            return response.status

    async def forget(self, name: str) -> None:
        """Start a service, invalidate a name, stop it."""
        chosen = settings(history={"enabled": True, "path": str(self._path)})
        async with running_service(chosen, [self.model]) as service:
            await service.parts.cache.invalidate(name)


@pytest.fixture
def restarts(path: Path, http: aiohttp.ClientSession) -> Restarts:
    """Services with that database."""
    return Restarts(path, http)


ONE = {"prompt": "one"}


async def test_an_answer_outlives_a_restart(restarts: Restarts) -> None:
    """A new process with an empty cache gives the earlier answer, and calls no model."""
    first = await restarts.ask(ONE)
    second = await restarts.ask(ONE, ONE, {"prompt": "two"})

    assert (first, second) == (["miss"], ["hit", "hit", "miss"])
    assert len(restarts.model.calls) == 2


async def test_an_invalidated_answer_stays_gone(restarts: Restarts) -> None:
    """What was invalidated is computed anew also after restarts; by any of its names."""
    tagged = {"prompt": "tagged", "cache": {"tags": ["x"]}}
    await restarts.ask(ONE, tagged)
    await restarts.forget("/tag:x")

    assert await restarts.ask(ONE, tagged) == ["hit", "miss"]
    assert await restarts.ask(ONE, tagged) == ["hit", "hit"]


async def test_an_answer_is_dropped_by_its_key(restarts: Restarts, path: Path) -> None:
    """What only the database still has can be dropped like any entry, once."""
    await restarts.ask(ONE)
    ((key,),) = rows(path, "SELECT fingerprint FROM llm_stream_runs")

    assert await restarts.drop(key) == 200
    assert await restarts.drop(key) == 404
    assert await restarts.ask(ONE) == ["miss"]


async def test_an_answer_is_not_fresh_for_ever(restarts: Restarts) -> None:
    """What has outlived its time is not given, whatever process asks."""
    brief = {"prompt": "brief", "cache": {"ttl_seconds": 0.001}}
    await restarts.ask(brief)

    assert await restarts.ask(brief) == ["miss"]


async def test_modes_that_read_no_cache_read_no_history(restarts: Restarts) -> None:
    """`bypass` and `refresh` compute, `bypass` leaves nothing to be found."""
    bypass = {"prompt": "b", "cache": {"mode": "bypass"}}
    await restarts.ask(bypass)

    assert await restarts.ask({"prompt": "b"}) == ["miss"]
    assert await restarts.ask({"prompt": "b", "cache": {"mode": "refresh"}}) == ["miss"]
    assert await restarts.ask({"prompt": "b"}) == ["hit"]


async def test_a_policy_applies_to_the_history_too(restarts: Restarts) -> None:
    """Without a cache nothing is found, though everything is logged."""
    await restarts.ask(ONE, cache={"enabled": False})

    assert await restarts.ask(ONE) == ["miss"]
    assert await restarts.ask(ONE, cache={"enabled": False}) == ["bypass"]
