"""One run as its reader has it: events, text, finished pieces, the answer."""

import hashlib
from collections.abc import AsyncGenerator, Callable
from types import TracebackType
from typing import Self

from llm_stream.client.answer import Answer, Piece, piece_of
from llm_stream.client.patience import Patience
from llm_stream.client.problems import AnswerRestarted, TextDiffers, error_of
from llm_stream.client.reader import Open, Reader
from llm_stream.client.wire import Told, Wire
from llm_stream.engine.fold import Fold
from llm_stream.errors import RunCancelled, UnknownRun


class Stream:
    """Reads one run; whatever is asked of it, the same events are read, each once.

    Used with `async with`; or `await stream.result()` alone. Leaving before the end cancels a run
    that was started here, unless others want it, and leaves one that is only followed. Not for
    several tasks at the same time. See `Reader` for the arguments.
    """

    def __init__(  # noqa: PLR0913 - how one run is opened and read
        self,
        wire: Wire,
        opening: Open,
        patience: Patience,
        *,
        starting: Patience | None = None,
        key: str | None = None,
        after: str = "0",
        owned: bool,
    ) -> None:
        self._reader = Reader(
            wire, opening, patience, starting=starting, key=key, after=after, owned=owned
        )
        self._fold = Fold()
        self._given = False  # whether `text` or `items` has given what a restart would make void

    @property
    def run(self) -> str:
        """The run's id, "" before it is open."""
        return self._reader.run

    @property
    def cache(self) -> str:
        """How the cache took part: `miss`, `hit`, `joined` or `bypass`; "" before it is known."""
        return self._reader.cache or self._fold.started.get("cache", "")

    @property
    def cursor(self) -> str:
        """Of the last event that was read."""
        return self._reader.cursor

    @property
    def resumed(self) -> int:
        """How often it was read on after a loss."""
        return self._reader.resumed

    async def __aenter__(self) -> Self:
        """Open the run.

        Raises:
            StreamError: the service refuses, by its code; or `Unreachable`.
        """
        await self._reader.begin()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """See `close`."""
        await self.close()

    async def close(self) -> None:
        """Leave. Never raises: who cannot be told that a run is not wanted finds it abandoned."""
        await self._reader.close()

    async def events(self) -> AsyncGenerator[Told]:
        """Every event, the terminal one included; see docs/protocol.md for what they say.

        Raises:
            StreamError: the run failed or was cancelled; told after its terminal event was given.
            EventsLost: a part of the run is lost.
            TextDiffers: what arrived is not what was sent.
            Unreachable: the service stayed away for longer than patience lasts.
        """
        while (told := await self._reader.next()) is not None:
            self._fold.add_payload(told["type"], told)
            yield told
            self._judge(told)

    async def text(self, restarted: Callable[[], object] | None = None) -> AsyncGenerator[str]:
        """The answer, piece by piece.

        Args:
            restarted: called when what was given so far is void and the answer begins anew.

        Raises:
            AnswerRestarted: that has happened, and nobody is to be told.
        """
        async for told in self.events():
            if told["type"] == "text.delta" and "step" not in told:
                self._given = True
                yield told["text"]
            elif told["type"] == "run.restarted":
                self._void(restarted)

    async def items(self, restarted: Callable[[], object] | None = None) -> AsyncGenerator[Piece]:
        """Finished pieces of the result, each when it is there; arguments and errors as `text`."""
        async for told in self.events():
            if told["type"] == "item.completed":
                self._given = True
                yield piece_of(told["path"], told["value"])
            elif told["type"] == "run.restarted":
                self._void(restarted)

    async def result(self) -> Answer:
        """Read to the end; the whole answer. Opens and closes the stream if it is not open.

        Raises:
            StreamError: as `events` does.
        """
        reader = self._reader
        if not (reader.open or reader.over or reader.left):
            async with self:
                return await self.result()
        async for _ in self.events():
            pass
        return self._answer()

    def _judge(self, told: Told) -> None:
        """Raise unless this event can be trusted, and is no bad end."""
        match told["type"]:
            case "run.failed":
                raise error_of(told["error"])
            case "run.cancelled":
                reason = told["reason"]
                raise RunCancelled(f"The run was cancelled ({reason}).", run=self.run)
            case "run.completed" if self._reader.whole:
                text = "".join(self._fold.text)
                if hashlib.sha256(text.encode()).hexdigest() != told["text_sha256"]:
                    raise TextDiffers(
                        "The text that arrived is not the text that was sent.", run=self.run
                    )

    def _answer(self) -> Answer:
        fold, end = self._fold, self._fold.terminal
        if end is None or not self._reader.whole:
            raise UnknownRun("The answer was not read from its beginning.", run=self.run)
        self._judge(end)
        tried = [failure["next"]["model"] for failure in fold.failures if failure["next"]]
        return Answer(
            run=self.run,
            recipe=fold.started["recipe"],
            model=tried[-1] if tried else fold.started["model"],
            text="".join(fold.text),
            result=end["result"],
            items=[piece_of(item["path"], item["value"]) for item in fold.items],
            reasoning="".join(fold.reasoning),
            tool_calls=fold.calls,
            finish_reason=end["finish_reason"],
            usage=end["usage"],
            cache=self.cache,
            timings=end["timings"],
            attempts=end["attempts"],
        )

    def _void(self, restarted: Callable[[], object] | None) -> None:
        given, self._given = self._given, False
        if not given:
            return
        if restarted is None:
            raise AnswerRestarted(
                "The answer began anew: what was read so far is void. Give `restarted` to go on.",
                run=self.run,
            )
        restarted()
