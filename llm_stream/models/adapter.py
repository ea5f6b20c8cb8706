"""Any `llm` model, async or sync, as one async iterator of chunks.

Leaving the iterator closes the upstream at once, whatever the consumer was awaiting. Knows
nothing of runs, retries or timers; `recipes/generate` is its caller.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    aclosing,
    asynccontextmanager,
    contextmanager,
    nullcontext,
)
from dataclasses import replace
from typing import Any, cast

import llm

from llm_stream.errors import MissingKey, StreamError, UnsupportedByModel, UpstreamFailed
from llm_stream.lateimports import fetch_late, is_late
from llm_stream.models.chunks import Chunk, ModelCall
from llm_stream.models.faults import from_model, from_refused_call
from llm_stream.models.finish import AnyResponse, finish_of
from llm_stream.models.joining import JOIN_EVENTS, join_events
from llm_stream.models.leaving import ResponseEvents
from llm_stream.models.optionschema import schema_of
from llm_stream.models.pieces import Pieces
from llm_stream.models.prompting import attachments_of, prompt_of
from llm_stream.models.syncbridge import SyncThreads, Turn, pump

AnyModel = llm.Model | llm.KeyModel | llm.AsyncModel | llm.AsyncKeyModel


class ModelAdapter:
    """One model of the catalog.

    Args:
        model: the `llm` model; a sync-only one takes one of `threads` a call.
        threads: where sync models run.

    Attributes:
        provider: whose model it is: that of a wire, else the package the class comes from.
        address: where we ask it ourselves; None where a plugin does.
    """

    def __init__(self, model: AnyModel, threads: SyncThreads) -> None:
        self._model = model
        self._threads = threads
        self.id: str = model.model_id
        self.provider = str(getattr(model, "provider", "") or type(model).__module__.split(".")[0])
        self.address: str | None = getattr(model, "address", None)
        self.is_async = isinstance(model, (llm.AsyncModel, llm.AsyncKeyModel))
        # What else tells its answers from those of another of this id; models of ours say it.
        self.version = str(getattr(model, "version", ""))
        self._is_foreign = not type(model).__module__.startswith("llm_stream.")
        self._takes_toolset = bool(getattr(model, "takes_toolset", False))

    @property
    def supports_schema(self) -> bool:
        """Whether the model itself keeps to a JSON Schema."""
        return bool(self._model.supports_schema)

    @property
    def supports_tools(self) -> bool:
        """Whether the model takes tools that it may ask its caller to use."""
        return bool(self._model.supports_tools)

    @property
    def attachment_types(self) -> list[str]:
        """Media types of attachments the model takes, sorted."""
        return sorted(self._model.attachment_types)

    @property
    def lacks_key(self) -> bool:
        """Whether the model needs a key that is neither in the environment nor in llm's store.

        Looks at llm's store on disk: not for the per-request path of models that have keys.
        """
        if not isinstance(self._model, (llm.KeyModel, llm.AsyncKeyModel)):
            return False
        try:
            self._model.get_key()
        except (llm.NeedsKeyException, MissingKey):
            return True
        return False

    @property
    def options_schema(self) -> dict[str, Any]:
        """JSON Schema of the model's options; shared, not to be changed."""
        return schema_of(self._model.Options)

    def check(self, call: ModelCall) -> None:
        """Say now whether the model would refuse the call, before a run exists. Sends nothing.

        Raises:
            InvalidOption: an option the model does not have, or a bad value (caller's doing).
            UnsupportedByModel: attachment, tool or conversation it cannot do (caller's doing).
        """
        call = self._with_tools(call)
        if self._takes_toolset and call.tools is None and call.schema is None:
            # Nothing else of a plain question can be wrong, and a response costs a random id.
            with self._refusing():
                self._model._validate_attachments(attachments_of(call))  # noqa: SLF001
                self._model.Options(**call.options)
            return
        response = self._open(call)
        request = getattr(self._model, "request", None) if self._takes_toolset else None
        if call.tools is not None and request is not None:
            # What a wire has no words for it finds out when it writes them down.
            request(response.prompt, stream=bool(self._model.can_stream))

    def _open(self, call: ModelCall) -> AnyResponse:
        """An unstarted response: validates, does no I/O."""
        # can_stream is only looked at by llm's own command line (llm 0.36).
        kwargs = prompt_of(call, stream=bool(self._model.can_stream))
        with self._refusing():
            # llm itself checks attachments= only, not those in messages=.
            self._model._validate_attachments(attachments_of(call))  # noqa: SLF001
            response: AnyResponse = self._model.prompt(**kwargs)
        return response

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        """Whatever is raised in it, in our words: the model does not take the call."""
        try:
            yield
        except StreamError:
            raise
        except Exception as error:  # plugins share no base class; see models/faults
            raise from_refused_call(error, self.id) from error

    def _with_tools(self, call: ModelCall) -> ModelCall:
        """The call as the model can take it.

        Raises:
            UnsupportedByModel: it knows no tools, or no way to say how they may be called.
        """
        tools = call.tools
        if not self.supports_tools:
            if tools is not None:
                raise UnsupportedByModel(f"{self.id} takes no tools.", field="tools")
            if any(message.role == "tool" or message.tool_calls for message in call.messages):
                raise UnsupportedByModel(
                    f"{self.id} takes no calls of tools and no results.", field="messages"
                )
        if tools is None or self._takes_toolset:
            return call
        if tools.named or tools.choice == "required":
            raise UnsupportedByModel(
                f"{self.id} cannot be told which tool to call, or that it has to.",
                field="tool_choice",
            )
        if not tools.parallel:
            raise UnsupportedByModel(
                f"{self.id} cannot be told to call one tool at a time.",
                field="parallel_tool_calls",
            )
        # Plugins have no word for it but to say nothing of the tools.
        return replace(call, tools=None) if tools.choice == "none" else call

    @property
    def ahead(self) -> int:
        """How many calls are ahead of a new one in the queue for a thread, itself included.

        0 = it would not have to wait; always so for async models.
        """
        return 0 if self.is_async or not self._threads.busy else self._threads.waiting + 1

    def turn(self) -> AbstractAsyncContextManager[Turn | None]:
        """Wait until the model can be asked: for a thread if it is sync-only."""
        if self.is_async and not (self._is_foreign and is_late()):
            return nullcontext()
        return self._turn()

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[Turn | None]:
        if self.is_async:
            # Whichever package its plugin uses, it must not be imported on the event loop.
            await asyncio.to_thread(fetch_late)
            yield None
            return
        turn = await self._threads.thread()
        try:
            yield turn
        finally:
            turn.give_back()

    def _events(
        self, response: AnyResponse, turn: Turn | None
    ) -> AbstractAsyncContextManager[AsyncGenerator[llm.parts.StreamEvent]]:
        if isinstance(response, llm.AsyncResponse):
            return ResponseEvents(response)
        return aclosing(pump(response.stream_events, cast("Turn", turn)))

    async def stream(self, call: ModelCall, turn: Turn | None) -> AsyncGenerator[Sequence[Chunk]]:
        """Ask the model in its turn and yield what it answers, last a `Finish`.

        Pieces of one kind that a wire has read at once come together, others one by one.

        Close it (`contextlib.aclosing`) to leave early: an async upstream is closed before
        the closing returns, a sync model's thread stops at its next chunk and what it still
        produces is dropped. Cancellation does the same.

        Raises:
            InvalidOption, UnsupportedByModel: as from `check`.
            UpstreamError: the model failed; what came before is partial. One of ours whatever
                the plugin raised.
        """
        call = self._with_tools(call)
        response = self._open(call)
        pieces = Pieces(calls_are_text=call.schema is not None and call.tools is None)
        joined, left = 0, JOIN_EVENTS
        try:
            async with self._events(response, turn) as events:
                async for event in events:
                    if said := pieces.take(event):
                        yield said
                    left -= 1
                    if not left and isinstance(response, llm.AsyncResponse):
                        joined, left = join_events(response, joined), JOIN_EVENTS
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # Nobody cancelled this run: the plugin let a cancellation of its own out.
            raise UpstreamFailed(f"{self.id}: cancelled inside the plugin") from error
        except StreamError:
            raise
        except Exception as error:  # plugins share no base class; see models/faults
            raise from_model(error, self.id) from error
        # Calls may be acted on: none is told before it is known that all of them are whole.
        finish = finish_of(response, self.id)
        yield [*pieces.calls(finish.finish_reason), finish]
