"""The engine's threads: order, leaving and closing, with a scripted llama.cpp."""

import queue
import sys
import threading
from collections.abc import Callable, Iterator
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest

from llm_stream.errors import ModelUnavailable
from llm_stream.models.localengine import Engine, EngineStatistics

from .conftest import COMPLETE, ScriptedServer

MakeEngine = Callable[..., Engine]
Chunks = queue.SimpleQueue[Any]


@pytest.fixture
def make_engine(server: ScriptedServer) -> Iterator[MakeEngine]:
    """Makes engines on the scripted server; at the end they are closed, nothing held back."""
    engines: list[Engine] = []

    def make(parallel: int = 1, weights: Path = Path("none.gguf")) -> Engine:
        engine = Engine(
            weights, context_tokens=512, parallel=parallel, threads=0, open_server=server.open
        )
        engines.append(engine)
        return engine

    yield make
    server.free()
    for engine in engines:
        engine.close()


def rest(chunks: Chunks) -> list[Any]:
    """What still comes before the end."""
    return list(iter(lambda: chunks.get(timeout=30), None))


def test_all_chunks_come_in_order_and_then_none(
    make_engine: MakeEngine, server: ScriptedServer
) -> None:
    """An answer is its chunks and one None; afterwards nothing runs."""
    engine, chunks = make_engine(), Chunks()
    server.free()

    answer = engine.start({"stream": True}, chunks.put)

    assert rest(chunks) == list(COMPLETE)
    assert answer.failure() is None
    assert server.requests == [{"stream": True}]
    assert engine.statistics() == EngineStatistics(loaded=True, running=0, waiting=0)


def test_it_is_loaded_once_when_first_needed(
    make_engine: MakeEngine, server: ScriptedServer
) -> None:
    """Several first answers at once load the model one time; making an engine loads nothing."""
    engine = make_engine(parallel=4)
    assert engine.statistics() == EngineStatistics(loaded=False, running=0, waiting=0)
    server.free()
    queues = [Chunks() for _ in range(4)]

    for chunks in queues:
        engine.start({}, chunks.put)

    assert [rest(chunks) for chunks in queues] == [list(COMPLETE)] * 4
    assert server.opened == 1


def test_more_answers_than_threads_wait_in_order(
    make_engine: MakeEngine, server: ScriptedServer
) -> None:
    """With one thread, the second and third answer begin when the one before has ended."""
    engine, first, second, third = make_engine(), Chunks(), Chunks(), Chunks()
    for number, chunks in enumerate((first, second, third)):
        engine.start({"number": number}, chunks.put)
    server.let.release()
    first.get(timeout=30)
    assert engine.statistics() == EngineStatistics(loaded=True, running=1, waiting=2)

    server.free()

    assert rest(third) == list(COMPLETE)
    assert [request["number"] for request in server.requests] == [0, 1, 2]


def test_leaving_a_running_answer_ends_it_at_its_next_chunk(
    make_engine: MakeEngine, server: ScriptedServer
) -> None:
    """The chunk that was on its way is dropped, the thread is free."""
    engine, chunks = make_engine(), Chunks()
    answer = engine.start({}, chunks.put)
    server.let.release()
    assert chunks.get(timeout=30) == COMPLETE[0]

    answer.leave()
    server.let.release()

    assert rest(chunks) == []
    assert engine.statistics().running == 0
    assert answer.failure() is None


def test_leaving_a_waiting_answer_ends_it_at_once(
    make_engine: MakeEngine, server: ScriptedServer
) -> None:
    """It never reaches llama.cpp, and its end is told before `leave` returns."""
    engine, first, second = make_engine(), Chunks(), Chunks()
    engine.start({"number": 0}, first.put)
    waiting = engine.start({"number": 1}, second.put)

    waiting.leave()
    waiting.leave()

    assert second.get_nowait() is None
    assert engine.statistics().waiting == 0
    server.free()
    rest(first)
    assert [request["number"] for request in server.requests] == [0]


def test_leaving_while_the_model_loads_asks_it_nothing(server: ScriptedServer) -> None:
    """Who leaves before the model is there costs nothing but its loading."""
    go = threading.Event()

    def slow(*settings: Any) -> Any:
        assert go.wait(30)
        return server.open(*settings)

    chunks = Chunks()
    engine = Engine(Path("m"), context_tokens=1, parallel=1, threads=0, open_server=slow)
    answer = engine.start({}, chunks.put)
    answer.leave()
    go.set()

    assert rest(chunks) == []
    engine.close()
    assert server.requests == []


def test_what_the_thread_raises_is_kept(server: ScriptedServer, make_engine: MakeEngine) -> None:
    """A failure ends the answer and can be read from it."""
    server.error = ValueError("no such schema")
    engine, chunks = make_engine(), Chunks()

    answer = engine.start({}, chunks.put)

    assert rest(chunks) == []
    assert answer.failure() is server.error


def test_closing_ends_all_answers(make_engine: MakeEngine, server: ScriptedServer) -> None:
    """Running and waiting answers end; afterwards nothing can be started or loaded."""
    server.chunks = repeat(COMPLETE[0])
    engine, first, second = make_engine(), Chunks(), Chunks()
    engine.start({}, first.put)
    engine.start({}, second.put)
    server.let.release()
    first.get(timeout=30)

    closing = threading.Thread(target=engine.close)
    closing.start()
    while closing.is_alive():
        server.let.release()

    rest(first)
    assert rest(second) == []
    assert engine.statistics() == EngineStatistics(loaded=False, running=0, waiting=0)
    with pytest.raises(ModelUnavailable, match="closed"):
        engine.start({}, first.put)
    with pytest.raises(ModelUnavailable, match="closed"):
        engine.load()


def test_available_looks_at_file_and_library(
    make_engine: MakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is available when both are there, and neither is loaded to find out."""
    weights = tmp_path / "some.gguf"
    engine = make_engine(weights=weights)
    assert not engine.available

    weights.write_bytes(b"GGUF")
    assert engine.available

    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    assert not engine.available
    assert not engine.statistics().loaded
