"""The embedded model's threads: several answers at once out of one loaded file.

Knows neither `llm` nor the loop: answers come as calls from threads. `models/local` makes models
of it.
"""

import importlib.util
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from llm_stream.errors import ModelUnavailable
from llm_stream.models.llamacpp import LIBRARY, OpenServer, Server, open_server
from llm_stream.models.weights import require_weights

Deliver = Callable[[Any], None]
"""Takes each chunk, a dict as OpenAI's `chat.completion.chunk`, in the thread that makes it; at
the end None, once, whatever happened."""


@dataclass(frozen=True, slots=True)
class EngineStatistics:
    """`running` answers hold a thread, `waiting` ones wait for a thread."""

    loaded: bool
    running: int
    waiting: int


class Answer:
    """One request to the engine; made by `Engine.start`."""

    def __init__(self) -> None:
        self._left = threading.Event()
        self.begun = False
        self.future: Future[None] = Future()

    def leave(self) -> None:
        """Want no more of it; from any thread, at any time, as often as you like.

        If it still waits for a thread, it has ended when this returns. Otherwise it ends at its
        next chunk, which is dropped: at its next token, or the next batch of its prompt.
        """
        self._left.set()
        self.future.cancel()

    @property
    def left(self) -> bool:
        """Whether somebody has left."""
        return self._left.is_set()

    def failure(self) -> BaseException | None:
        """Of an answer that has ended: what its thread raised, if anything."""
        return None if self.future.cancelled() else self.future.exception()


class Engine:
    """A model that is loaded once, when first needed, and answers from a pool of threads.

    Args:
        weights: the GGUF file.
        context_tokens: tokens of all answers at once; each may use its `parallel`-th part.
        parallel: answers at the same time, >= 1; further ones wait in order.
        threads: threads that compute; 0 = all cores read prompts, fewer write answers.
        open_server: loads the file.
    """

    def __init__(
        self,
        weights: Path,
        *,
        context_tokens: int,
        parallel: int,
        threads: int,
        open_server: OpenServer = open_server,
    ) -> None:
        self.weights = weights
        self.context_tokens = context_tokens
        self._open = partial(open_server, weights, context_tokens, parallel, threads)
        self._server: Server | None = None
        self._loading = threading.Lock()
        self._pool = ThreadPoolExecutor(parallel, "embedded-model")
        self._answers: set[Answer] = set()
        self._closed = False
        self._bookkeeping = threading.Lock()

    @property
    def available(self) -> bool:
        """Whether library and weights seem to be there; imports and loads nothing."""
        try:
            require_weights(self.weights)
        except ModelUnavailable:
            return False
        return importlib.util.find_spec(LIBRARY) is not None

    def statistics(self) -> EngineStatistics:
        """What it is doing now."""
        with self._bookkeeping:
            running = sum(answer.begun for answer in self._answers)
            return EngineStatistics(self._server is not None, running, len(self._answers) - running)

    def load(self) -> Server:
        """Load the model unless it is; blocks.

        Raises:
            ModelUnavailable: as from `open_server`, or the engine is closed.
        """
        with self._loading:
            self._refuse_if_closed()
            if self._server is None:
                self._server = self._open()
            return self._server

    def start(self, request: dict[str, Any], deliver: Deliver) -> Answer:
        """Begin an answer, or queue it; returns at once. Load the model if need be.

        Args:
            request: an OpenAI chat completion with `"stream": True`.
            deliver: called with each chunk and at last with None; must not block or raise. A
                chunk may be `{"error": ...}`; what the thread raised is `Answer.failure()`.

        Raises:
            ModelUnavailable: the engine is closed.
        """
        answer = Answer()

        def on_chunk(chunk: Any) -> bool:
            if not answer.left:
                deliver(chunk)
            return answer.left

        def work() -> None:
            answer.begun = True
            server = self.load()
            if not answer.left:
                server.handle_chat_completions(request, on_chunk)

        def ended(_future: Future[None]) -> None:
            with self._bookkeeping:
                self._answers.discard(answer)
            deliver(None)

        with self._bookkeeping:
            self._refuse_if_closed()
            answer.future = self._pool.submit(work)
            self._answers.add(answer)
        answer.future.add_done_callback(ended)
        return answer

    def close(self) -> None:
        """Leave all answers, wait for their threads and free the model; blocks, harmless twice."""
        with self._bookkeeping:
            self._closed = True
            answers = list(self._answers)
        for answer in answers:
            answer.leave()
        self._pool.shutdown(wait=True, cancel_futures=True)
        with self._loading:
            self._server = None

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise ModelUnavailable("The embedded model has been closed.")
