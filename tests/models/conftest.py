"""The real embedded model, loaded once for all tests, and a scripted stand-in for llama.cpp."""

import threading
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from llm_stream.models.llamacpp import Server
from llm_stream.models.local import LocalModel
from llm_stream.models.weights import fetch_weights


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def smollm2() -> AsyncIterator[LocalModel]:
    """The embedded model, 256 tokens an answer, four at once; its weights fetched if missing."""
    model = LocalModel(weights=fetch_weights(), context_tokens=1024, parallel=4)
    await model.load()
    yield model
    await model.close()


def piece(text: str | None = None, finish_reason: str | None = None, **more: Any) -> dict[str, Any]:
    """A chunk as llama.cpp makes them."""
    delta = {} if text is None else {"content": text}
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}], **more}


def usage(prompt: int, answer: int) -> dict[str, Any]:
    """The last chunk of an answer."""
    return {"choices": [], "usage": {"prompt_tokens": prompt, "completion_tokens": answer}}


COMPLETE = (piece("Hello"), piece(" you"), piece(finish_reason="stop"), usage(3, 2))


class ScriptedServer:
    """Answers each request with the same chunks, each one only once `let` allows it.

    Attributes:
        requests: all that have reached it.
        let: released once a chunk; `free()` releases enough for everything.
        opened: how often it was opened.
    """

    def __init__(
        self, chunks: Iterable[dict[str, Any]] = COMPLETE, error: Exception | None = None
    ) -> None:
        self.chunks = chunks
        self.error = error
        self.requests: list[dict[str, Any]] = []
        self.let = threading.Semaphore(0)
        self.opened = 0

    def open(self, weights: Path, context_tokens: int, parallel: int, threads: int) -> Server:
        """Stand for `open_server`."""
        self.opened += 1
        return self

    def free(self) -> "ScriptedServer":
        """Hold nothing back."""
        self.let.release(1000)
        return self

    def handle_chat_completions(
        self, request: dict[str, Any], on_chunk: Callable[[Any], bool], /
    ) -> None:
        """Say the chunks until told to stop."""
        self.requests.append(request)
        if self.error is not None:
            raise self.error
        for chunk in self.chunks:
            assert self.let.acquire(timeout=30)
            if on_chunk(chunk):
                return


@pytest.fixture
def server() -> ScriptedServer:
    """A stand-in that says "Hello you", held back."""
    return ScriptedServer()
