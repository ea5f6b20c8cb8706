"""One run for one command: started or followed, printed, and every way it can end as a code."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

import orjson

from llm_stream.cli.configured import KEY_VARIABLE, Refused, unanswered
from llm_stream.cli.exitcodes import FAILED, PIPE_CLOSED, REFUSED, UNREACHABLE
from llm_stream.cli.place import Place
from llm_stream.cli.planview import Plan
from llm_stream.cli.progress import Progress
from llm_stream.cli.runoptions import Reading
from llm_stream.cli.screen import Screen
from llm_stream.cli.tellers import Events, Results, Teller, Text, Whole
from llm_stream.cli.verdictview import Verdict
from llm_stream.client import AsyncClient, Stream
from llm_stream.client.problems import UnexpectedAnswer, Unreachable
from llm_stream.engine.fold import Fold
from llm_stream.errors import StreamError, Unauthenticated

TICK_SECONDS: Final = 0.25

ENDING: Final = (signal.SIGTERM, signal.SIGHUP)
"""Signals that end the command as Ctrl-C does: the run is cancelled first."""

VIEWS: Final[Mapping[str, Callable[[Screen], Teller]]] = {
    "evaluate": Verdict,
    "breakdown": Plan,
    "batch": Results,
}


def follow(place: Place, reading: Reading, recipe: str, body: Mapping[str, Any]) -> None:
    """Ask, print, and end the process with the code that says what came of it.

    Raises:
        Refused: there is no address to ask, the request cannot be sent, or nothing be written.
    """
    try:
        orjson.dumps(body)
        json.dumps(body, allow_nan=False)  # which orjson sends as null
    except (TypeError, ValueError) as error:
        raise Refused(f"this cannot be sent as JSON: {error}") from error
    screen = Screen(quiet=reading.quiet, verbose=reading.verbose)
    following = Following(place.address(), place.key, reading, screen)
    try:
        code = asyncio.run(following.read(recipe, body))
    except BrokenPipeError:
        code = PIPE_CLOSED
    finally:
        screen.close()
    sys.exit(code)


class Following:
    """Reads one run.

    Args:
        url: where the service is.
        key: the client key to show, "" for none.
        reading: how.
        screen: where to.
    """

    def __init__(self, url: str, key: str, reading: Reading, screen: Screen) -> None:
        self._url = url
        self._key = key
        self._reading = reading
        self._screen = screen
        self._ended_by: int | None = None

    async def read(self, recipe: str, body: Mapping[str, Any]) -> int:
        """Read it to its end; the exit code.

        Leaving early, by whatever error, cancels a run that was started here.
        """
        reading, task, loop = self._reading, asyncio.current_task(), asyncio.get_running_loop()
        for number in ENDING:
            if signal.getsignal(number) is signal.SIG_IGN:
                continue  # as nohup has it
            with suppress(ValueError, RuntimeError):  # only the main thread gets signals
                loop.add_signal_handler(number, self._end_by, number, task)
        ticking = asyncio.ensure_future(self._tick())
        try:
            async with AsyncClient(
                self._url,
                key=self._key,
                start_seconds=reading.wait,
                patience_seconds=reading.patience,
            ) as client:
                if reading.detach:
                    return await self._leave(client, recipe, body)
                return await self._follow(client, recipe, body)
        except asyncio.CancelledError:
            if self._ended_by is None:
                raise
            return 128 + self._ended_by
        finally:
            ticking.cancel()

    def _end_by(self, number: int, task: "asyncio.Task[Any] | None") -> None:
        self._ended_by = number
        if task is not None:
            task.cancel()

    async def _tick(self) -> None:
        self._screen.status(f"asking {self._url}")
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self._screen.tick()

    async def _leave(self, client: AsyncClient, recipe: str, body: Mapping[str, Any]) -> int:
        try:
            told = await client.begin(recipe, body, idempotency_key=self._reading.key_of_run)
        except StreamError as error:
            return self._refused(error)
        if self._reading.shape == "json":
            self._screen.raw(orjson.dumps(told, option=orjson.OPT_INDENT_2))
        else:
            self._screen.line(told["id"])
        return 0

    async def _follow(self, client: AsyncClient, recipe: str, body: Mapping[str, Any]) -> int:
        reading = self._reading
        if reading.resume:
            stream = client.follow(reading.resume, reading.after)
        else:
            stream = client.run(recipe, body, idempotency_key=reading.key_of_run)
        try:
            async with stream:
                return await self._print(stream, recipe, held="schema" in body)
        except StreamError as error:
            return self._failed(error, stream) if stream.run else self._refused(error)
        except asyncio.CancelledError:
            ends = "goes on" if reading.resume else "is cancelled, unless others want it"
            self._screen.note(f"{stream.run} {ends}" if stream.run else "left before it began")
            raise

    async def _print(self, stream: Stream, recipe: str, *, held: bool) -> int:
        fold, progress, teller = Fold(), Progress(self._screen), None
        async for told in stream.events():
            if teller is None:
                # Who follows a run of somebody else's need not say of which recipe it is.
                teller = self._teller(told.get("recipe", recipe), held=held)
            teller.tell(told)
            if told["type"] == "run.started":
                told = told | {"cache": stream.cache}  # noqa: PLW2901 - ours may have joined it
            fold.add_payload(told["type"], told)
            progress.tell(told)
        if teller is None:
            self._screen.note("nothing follows that cursor: the run has ended")
            return 0
        code = teller.end(fold)
        progress.end(fold)
        return code

    def _teller(self, recipe: str, *, held: bool) -> Teller:
        screen = self._screen
        if self._reading.shape == "events":
            return Events(screen, recipe)
        if self._reading.shape == "json":
            return Whole(screen, recipe)
        view = VIEWS.get(recipe)
        return Text(screen, held=held) if view is None else view(screen)

    def _refused(self, error: StreamError) -> int:
        if isinstance(error, Unreachable):
            self._screen.complain(unanswered(self._url, _reason(error)).message)
            return UNREACHABLE
        self._complain(error)
        if isinstance(error, Unauthenticated):
            self._screen.complain(f"A client key is needed: put it into {KEY_VARIABLE}.")
        return UNREACHABLE if isinstance(error, UnexpectedAnswer) else REFUSED

    def _failed(self, error: StreamError, stream: Stream) -> int:
        self._complain(error)
        if not isinstance(error, Unreachable):
            return FAILED
        self._screen.complain(
            f"Read on with --resume {stream.run} --after {stream.cursor}, if the run still lives."
        )
        return UNREACHABLE

    def _complain(self, error: StreamError) -> None:
        title = (error.problem or {}).get("title")
        field = f" (field: {error.field})" if error.field else ""
        self._screen.complain(f"{f'{title}: ' if title else ''}{error.detail}{field}")


def _reason(error: Unreachable) -> str:
    """Why nobody could be reached, in the system's words if there are any."""
    broken = getattr(error.__cause__, "os_error", None)
    if broken is None or not broken.errno:
        return error.detail
    return os.strerror(broken.errno) if broken.errno > 0 else str(broken.strerror)
