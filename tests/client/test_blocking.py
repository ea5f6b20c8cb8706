"""The client without an event loop."""

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from llm_stream.client import Client, ClientClosed
from llm_stream.errors import UnknownModel
from llm_stream.testing import Fault, Script, ScriptedModel, words
from llm_stream.testing.service import RunningService


@pytest.fixture
async def client(service: RunningService) -> AsyncIterator[Client]:
    """A client of the service."""
    made = Client(service.url, key="")
    yield made
    await asyncio.to_thread(made.close)


async def test_everything_is_as_with_a_loop(client: Client, model: ScriptedModel) -> None:
    """Text, events, the answer and refusals."""
    model.scripts = [Script(chunks=words(20))]

    def program() -> None:
        with client.generate("Hi") as stream:
            assert list(stream.text()) == list(words(20))
            assert stream.result().text == "".join(words(20))
        with client.follow(stream.run) as again:
            told = list(again.events())
        assert (told[-1]["type"], again.cursor) == ("run.completed", stream.cursor)
        assert client.generate("Hi").result().cache == "hit"
        assert client.snapshot(stream.run)["state"] == "completed"
        assert "scripted" in {each["id"] for each in client.models()["data"]}
        assert client.invalidate(all=True) == 1
        with pytest.raises(UnknownModel):
            client.generate("Hi", model="nobody").result()

    await asyncio.to_thread(program)


async def test_leaving_cancels(client: Client, model: ScriptedModel) -> None:
    """A loop that is broken out of lets go of the model."""
    model.scripts = [Script(chunks=words(3), fault=Fault(at=1, stall=True))]

    def program() -> None:
        with client.generate("Hi") as stream:
            for _ in stream.text():
                break

    await asyncio.to_thread(program)
    assert await asyncio.to_thread(model.calls[0].closed.wait, 5)


async def test_it_works_where_a_loop_runs(client: Client) -> None:
    """As in a notebook: its own loop is another one, in a thread that ends with it."""
    before = threading.active_count()
    with Client("http://127.0.0.1:9", patience_seconds=0) as other:
        assert threading.active_count() == before + 1
        assert isinstance(other, Client)

    assert threading.active_count() == before


async def test_closing_ends_what_other_threads_wait_for(
    client: Client, model: ScriptedModel
) -> None:
    """They are told that the client is closed; so is who comes later."""
    model.scripts = [Script(chunks=words(3), fault=Fault(at=1, stall=True))]
    began = threading.Event()

    def read() -> None:
        with client.generate("Hi") as stream:
            for _ in stream.text():
                began.set()

    reading = asyncio.create_task(asyncio.to_thread(read))
    await asyncio.to_thread(began.wait)
    await asyncio.to_thread(client.close)
    with pytest.raises(ClientClosed):
        await reading
    with pytest.raises(ClientClosed):
        client.generate("Hi").result()
