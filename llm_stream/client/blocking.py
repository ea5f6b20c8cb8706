"""The same client for programs without an event loop; it has one of its own, in a thread."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from types import TracebackType
from typing import Any, Self, TypeVar

from llm_stream.client.answer import Answer, Piece
from llm_stream.client.asyncclient import AsyncClient
from llm_stream.client.problems import ClientClosed
from llm_stream.client.stream import Stream
from llm_stream.client.wire import Told

T = TypeVar("T")


class Loop:
    """An event loop in a thread. Works where one runs already, in a notebook say."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._closed = False
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="llm-stream-client", daemon=True
        )
        self._thread.start()

    @property
    def closed(self) -> bool:
        """Whether it has ended, or is about to."""
        return self._closed

    def wait(self, doing: Coroutine[Any, Any, T]) -> T:
        """What came of it; an interrupt (Ctrl-C) cancels it.

        Raises:
            ClientClosed: the loop was closed before this, or while it was under way.
        """
        if self._closed:
            doing.close()
            raise ClientClosed("The client is closed.")
        future = asyncio.run_coroutine_threadsafe(doing, self._loop)
        try:
            return future.result()
        except CancelledError:
            raise ClientClosed("The client was closed meanwhile.") from None
        except BaseException:
            future.cancel()
            raise

    def close(self, last: Coroutine[Any, Any, object]) -> None:
        """Do a last thing, cancel all others, and end the thread."""
        self._closed = True
        try:
            asyncio.run_coroutine_threadsafe(self._end(last), self._loop).result()
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    async def _end(self, last: Coroutine[Any, Any, object]) -> None:
        try:
            await last
        finally:
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            await self._loop.shutdown_asyncgens()


class BlockingStream:
    """See `Stream`; used with `with`, or `result()` alone."""

    def __init__(self, loop: Loop, stream: Stream) -> None:
        self._loop = loop
        self._stream = stream

    @property
    def run(self) -> str:
        """The run's id, "" before it is open."""
        return self._stream.run

    @property
    def cache(self) -> str:
        """See `Stream`."""
        return self._stream.cache

    @property
    def cursor(self) -> str:
        """See `Stream`."""
        return self._stream.cursor

    @property
    def resumed(self) -> int:
        """See `Stream`."""
        return self._stream.resumed

    def __enter__(self) -> Self:
        """Open the run; raises as `Stream.__aenter__`."""
        self._loop.wait(self._stream.__aenter__())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """See `Stream.close`; a closed client has left it already."""
        if not self._loop.closed:
            self._loop.wait(self._stream.close())

    def events(self) -> Iterator[Told]:
        """See `Stream.events`."""
        return self._each(self._stream.events())

    def text(self, restarted: Callable[[], object] | None = None) -> Iterator[str]:
        """See `Stream.text`; `restarted` is called in the client's thread."""
        return self._each(self._stream.text(restarted))

    def items(self, restarted: Callable[[], object] | None = None) -> Iterator[Piece]:
        """See `Stream.items`; `restarted` is called in the client's thread."""
        return self._each(self._stream.items(restarted))

    def result(self) -> Answer:
        """See `Stream.result`."""
        return self._loop.wait(self._stream.result())

    def _each(self, told: AsyncIterator[T]) -> Iterator[T]:
        async def step() -> list[T]:
            return [item async for item in _first(told)]

        while item := self._loop.wait(step()):
            yield item[0]


class Client:
    """See `AsyncClient`, whose arguments it takes; used with `with`, or ended by `close`."""

    def __init__(self, url: str | None = None, **options: Any) -> None:
        self._client = AsyncClient(url, **options)
        self._loop = Loop()

    def __enter__(self) -> Self:
        """Connects nowhere yet."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """See `close`."""
        self.close()

    def close(self) -> None:
        """End every connection and the thread."""
        if not self._loop.closed:
            self._loop.close(self._client.close())

    def generate(
        self,
        prompt: str | None = None,
        *,
        messages: Sequence[Mapping[str, Any]] | None = None,
        **more: Any,
    ) -> BlockingStream:
        """See `AsyncClient.generate`."""
        return self._stream(self._client.generate(prompt, messages=messages, **more))

    def evaluate(self, stage_name: str, **more: Any) -> BlockingStream:
        """See `AsyncClient.evaluate`."""
        return self._stream(self._client.evaluate(stage_name, **more))

    def breakdown(self, task: str, **more: Any) -> BlockingStream:
        """See `AsyncClient.breakdown`."""
        return self._stream(self._client.breakdown(task, **more))

    def reason(self, question: str, **more: Any) -> BlockingStream:
        """See `AsyncClient.reason`."""
        return self._stream(self._client.reason(question, **more))

    def batch(self, requests: Sequence[Mapping[str, Any]], **more: Any) -> BlockingStream:
        """See `AsyncClient.batch`."""
        return self._stream(self._client.batch(requests, **more))

    def run(
        self, recipe: str, body: Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> BlockingStream:
        """See `AsyncClient.run`."""
        return self._stream(self._client.run(recipe, body, idempotency_key=idempotency_key))

    def follow(self, run: str, after: str = "0") -> BlockingStream:
        """See `AsyncClient.follow`."""
        return self._stream(self._client.follow(run, after))

    def begin(
        self, recipe: str, body: Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> dict[str, Any]:
        """See `AsyncClient.begin`."""
        return self._loop.wait(self._client.begin(recipe, body, idempotency_key=idempotency_key))

    def runs(self, **query: Any) -> dict[str, Any]:
        """See `AsyncClient.runs`."""
        return self._loop.wait(self._client.runs(**query))

    def snapshot(self, run: str) -> dict[str, Any]:
        """See `AsyncClient.snapshot`."""
        return self._loop.wait(self._client.snapshot(run))

    def cancel(self, run: str, claim: str | None = None) -> dict[str, Any]:
        """See `AsyncClient.cancel`."""
        return self._loop.wait(self._client.cancel(run, claim))

    def models(self) -> dict[str, Any]:
        """See `AsyncClient.models`."""
        return self._loop.wait(self._client.models())

    def templates(self) -> dict[str, Any]:
        """See `AsyncClient.templates`."""
        return self._loop.wait(self._client.templates())

    def usage(self, **query: Any) -> dict[str, Any]:
        """See `AsyncClient.usage`."""
        return self._loop.wait(self._client.usage(**query))

    def invalidate(self, **what: Any) -> int:
        """See `AsyncClient.invalidate`."""
        return self._loop.wait(self._client.invalidate(**what))

    def _stream(self, stream: Stream) -> BlockingStream:
        return BlockingStream(self._loop, stream)


async def _first(told: AsyncIterator[T]) -> AsyncIterator[T]:
    async for item in told:
        yield item
        return
