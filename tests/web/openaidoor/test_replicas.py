"""Two replicas and a Redis: a response that began on one is had from the other."""

from typing import Any

import pytest

from llm_stream.testing import Fault, Script, ScriptedModel
from llm_stream.testing.service import RunningService

from ...conftest import StartService
from ...redisserver import RedisServer
from ...wire import reached, until
from .conftest import client_of

ASKED: dict[str, Any] = {"model": "scripted", "input": "Say hello."}


@pytest.fixture
async def pair(redis_server: RedisServer, start_service: StartService) -> list[RunningService]:
    """Two services that share a Redis."""
    return [await start_service(redis={"url": redis_server.url}) for _ in range(2)]


async def test_a_stream_is_resumed_on_the_other_replica(pair: list[RunningService]) -> None:
    """Its numbers are the same there, so nothing is missed and nothing is said twice."""
    async with client_of(pair[0]) as ours, client_of(pair[1]) as theirs:
        events = [event async for event in await ours.responses.create(**ASKED, stream=True)]
        for place in (0, 4, len(events) - 2):
            rest = await theirs.responses.retrieve(
                events[0].response.id, stream=True, starting_after=place
            )

            assert [event async for event in rest] == events[place + 1 :]


async def test_a_kept_answer_in_the_background(pair: list[RunningService]) -> None:
    """Whoever comes for it by its id finds it, whichever replica answers."""
    async with client_of(pair[0]) as ours, client_of(pair[1]) as theirs:
        await ours.responses.create(**ASKED)
        kept = await ours.responses.create(**ASKED, background=True)

        assert kept.status == "completed"
        assert (await theirs.responses.retrieve(kept.id)).output_text == "Hello, world."


async def test_a_cancel_reaches_the_owner(pair: list[RunningService], model: ScriptedModel) -> None:
    """The model is left although the other replica was asked."""
    model.scripts = [Script(fault=Fault(at=1, stall=True))]
    async with client_of(pair[0]) as ours, client_of(pair[1]) as theirs:
        begun = await ours.responses.create(**ASKED, background=True)
        await reached(pair[0].parts.registry.find(begun.id.replace("resp_", "run_")), 2)
        await theirs.responses.cancel(begun.id)
        await until(model.calls[0].closed.is_set)
