"""The embedded model as `llm` models: a GGUF file that needs no key and no network.

`LocalModel` is what the service offers, `SyncLocalModel` its twin for llm's command line; both
share one `Engine`.
"""

import asyncio
import contextlib
import queue
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import Any, ClassVar, Final

import llm
from llm.parts import StreamEvent

from llm_stream.models.llamacpp import OpenServer, open_server
from llm_stream.models.localchat import LocalOptions, Reading, chat_request
from llm_stream.models.localengine import Answer, Deliver, Engine, EngineStatistics

LEAVE_SECONDS: Final = 1.0
"""How long leaving waits for the thread; only other answers' prompts can make it last longer."""


class _Embedded:
    """What both twins share."""

    can_stream = True
    supports_schema = True

    def __init__(self, model_id: str, engine: Engine) -> None:
        self.model_id = model_id
        self._engine = engine

    def __str__(self) -> str:
        return f"llm-stream: {self.model_id}"

    def _begin(self, prompt: Any, deliver: Deliver) -> tuple[Answer, Reading]:
        request = chat_request(prompt, self._engine.context_tokens)
        return self._engine.start(request, deliver), Reading(self.model_id, prompt.schema)

    def _end(self, answer: Answer, reading: Reading, response: Any) -> None:
        reading.end(answer, response)
        response.set_resolved_model(self._engine.weights.stem)


class LocalModel(_Embedded, llm.AsyncModel):
    """A GGUF file as an async model; loaded once, when first needed. Usable from any loop.

    Whoever makes it closes it. Number ranges and unusual `pattern`s in a schema are not enforced
    by llama.cpp; types, `enum`, `required`, lengths and item counts are.

    Args:
        model_id: its name.
        weights: the GGUF file; it may be missing until the first prompt.
        context_tokens: tokens of all answers at once; each may use its `parallel`-th part for
            prompt and answer together.
        parallel: answers at the same time, >= 1; further prompts wait in order.
        threads: threads that compute; 0 = all cores read prompts, fewer write answers.
        open_server: loads the file; another one makes a scripted engine.
    """

    Options: ClassVar[type[LocalOptions]] = LocalOptions  # type: ignore[assignment]

    def __init__(  # noqa: PLR0913 - the settings of [local], by name
        self,
        model_id: str = "smollm2",
        *,
        weights: Path,
        context_tokens: int = 8192,
        parallel: int = 4,
        threads: int = 0,
        open_server: OpenServer = open_server,
    ) -> None:
        engine = Engine(
            weights,
            context_tokens=context_tokens,
            parallel=parallel,
            threads=threads,
            open_server=open_server,
        )
        super().__init__(model_id, engine)
        self.version = weights.name

    @property
    def available(self) -> bool:
        """Whether library and weights seem to be there; loads nothing."""
        return self._engine.available

    def statistics(self) -> EngineStatistics:
        """Whether it is loaded, how many answers run and how many wait."""
        return self._engine.statistics()

    def twin(self) -> "SyncLocalModel":
        """A sync model with the same name and the same loaded file."""
        return SyncLocalModel(self.model_id, self._engine)

    async def load(self) -> None:
        """Load the model now rather than at the first prompt.

        Runs in a thread, but the loop stands still for 0.3 s and more: the library keeps the GIL.
        A cancellation does not stop the loading.

        Raises:
            ModelUnavailable: library or weights are missing or unusable; the text says what to do.
        """
        await asyncio.to_thread(self._engine.load)

    async def close(self) -> None:
        """End all answers, wait for their threads and free the memory. Prompts fail from now on."""
        await asyncio.to_thread(self._engine.close)

    async def execute(
        self, prompt: Any, stream: Any, response: Any, conversation: Any = None
    ) -> AsyncGenerator[str | StreamEvent]:
        """Yield the answer's text as it is made; see `llm.AsyncModel.execute`.

        Leaving - `aclose()` or a cancellation, also while it waits or before its first token -
        ends the generation at the next token (20-50 ms), or while its prompt is still being read at
        the next 64 tokens of that (0.2 s). Leaving waits for the thread, at most
        `LEAVE_SECONDS`: llama.cpp reads prompts one after another, and of an answer that waits
        behind other long ones nothing is heard until its turn comes. Its thread is free then.

        Raises:
            ContextTooLong: prompt and history are over an answer's part of the context.
            UnsupportedByModel: attachments or tool results, or a schema llama.cpp cannot keep to.
            UpstreamRejected, UpstreamFailed: llama.cpp refused or failed.
            ModelUnavailable: library or weights are missing, or the model is closed.
        """
        loop = asyncio.get_running_loop()
        chunks: asyncio.Queue[Any] = asyncio.Queue()  # max_tokens bounds it

        def deliver(chunk: Any) -> None:
            # After the loop has closed there is nobody to tell.
            if not loop.is_closed():
                loop.call_soon_threadsafe(chunks.put_nowait, chunk)

        answer, reading = self._begin(prompt, deliver)
        has_ended = False
        try:
            while (chunk := await chunks.get()) is not None:
                for piece in reading.take(chunk):
                    yield piece
            has_ended = True
            self._end(answer, reading, response)
        finally:
            answer.leave()
            if not has_ended:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LEAVE_SECONDS):
                        while await chunks.get() is not None:
                            pass


class SyncLocalModel(_Embedded, llm.Model):
    """The sync twin of a `LocalModel`, for llm's command line; made by `LocalModel.twin`."""

    Options: ClassVar[type[LocalOptions]] = LocalOptions  # type: ignore[assignment]

    def execute(
        self, prompt: Any, stream: Any, response: Any, conversation: Any = None
    ) -> Generator[str | StreamEvent]:
        """Yield the answer's text as it is made; see `llm.Model.execute`.

        Closing the iterator ends the generation at its next token and does not wait for that.
        Raises what `LocalModel.execute` raises.
        """
        chunks: queue.SimpleQueue[Any] = queue.SimpleQueue()
        answer, reading = self._begin(prompt, chunks.put)
        try:
            while (chunk := chunks.get()) is not None:
                yield from reading.take(chunk)
            self._end(answer, reading, response)
        finally:
            answer.leave()
