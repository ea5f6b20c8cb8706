"""Any `llm` model, async or sync, as one async iterator of chunks.

Leaving the iterator closes the upstream at once, whatever the consumer was awaiting. Knows
nothing of runs, retries or timers; `recipes/generate` is its caller.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any, Final, cast

import llm
import orjson

from llm_stream.errors import InvalidOutput, MissingKey, StreamError, UpstreamFailed
from llm_stream.models.chunks import Chunk, ModelCall, Reasoning, ToolCall
from llm_stream.models.faults import from_model, from_refused_call
from llm_stream.models.finish import AnyResponse, finish_of
from llm_stream.models.optionschema import schema_of
from llm_stream.models.syncbridge import SyncThreads, Turn, pump

MAX_DROPPED_CHUNKS: Final = 1000
"""How many chunks leaving reads on the way to the plugin's own wait; bounds endless bursts."""

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

    @property
    def supports_schema(self) -> bool:
        """Whether the model itself keeps to a JSON Schema."""
        return bool(self._model.supports_schema)

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
            return not self._model.get_key()
        except (llm.NeedsKeyException, MissingKey):
            return True

    @property
    def options_schema(self) -> dict[str, Any]:
        """JSON Schema of the model's options; shared, not to be changed."""
        return schema_of(self._model.Options)

    def check(self, call: ModelCall) -> None:
        """Say now whether the model would refuse the call, before a run exists. Sends nothing.

        Raises:
            InvalidOption: an option the model does not have, or a bad value (caller's doing).
            UnsupportedByModel: attachment or conversation it cannot do (caller's doing).
        """
        self._open(call)

    def _open(self, call: ModelCall) -> AnyResponse:
        """An unstarted response: validates, does no I/O."""
        turns = [message for message in call.messages if message.role != "system"]
        kwargs: dict[str, Any] = {
            "system": call.system,
            "options": call.options,
            "schema": call.schema,
            # can_stream is only looked at by llm's own command line (llm 0.36).
            "stream": bool(self._model.can_stream),
        }
        attachments = [a for message in turns for a in _attachments(message.attachments)]
        if len(turns) == 1 and turns[0].role == "user":
            kwargs["prompt"] = turns[0].content
            kwargs["attachments"] = attachments
        else:
            # Some providers read the system prompt from messages=, some from system=.
            kwargs["messages"] = [_message(message) for message in call.messages]
        try:
            # llm itself checks attachments= only, not those in messages=.
            self._model._validate_attachments(attachments)  # noqa: SLF001
            response: AnyResponse = self._model.prompt(**kwargs)
        except StreamError:
            raise
        except Exception as error:  # plugins share no base class; see models/faults
            raise from_refused_call(error, self.id) from error
        return response

    @property
    def ahead(self) -> int:
        """How many calls are ahead of a new one in the queue for a thread, itself included.

        0 = it would not have to wait; always so for async models.
        """
        return 0 if self.is_async or not self._threads.busy else self._threads.waiting + 1

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[Turn | None]:
        """Wait until the model can be asked: for a thread if it is sync-only."""
        if self.is_async:
            yield None
            return
        turn = await self._threads.thread()
        try:
            yield turn
        finally:
            turn.give_back()

    async def stream(self, call: ModelCall, turn: Turn | None) -> AsyncGenerator[Chunk]:
        """Ask the model in its turn and yield what it answers, last a `Finish`.

        Close it (`contextlib.aclosing`) to leave early: an async upstream is closed before
        the closing returns, a sync model's thread stops at its next chunk and what it still
        produces is dropped. Cancellation does the same.

        Raises:
            InvalidOption, UnsupportedByModel: as from `check`.
            UpstreamError: the model failed; what came before is partial. One of ours whatever
                the plugin raised.
        """
        response = self._open(call)
        tools: dict[str, list[str]] = {}
        events = (
            _events(response)
            if isinstance(response, llm.AsyncResponse)
            else pump(response.stream_events, cast("Turn", turn))
        )
        try:
            async with aclosing(events):
                async for event in events:
                    chunk = _chunk(event, tools, structured=call.schema is not None)
                    if chunk is not None:
                        yield chunk
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
        for call_id, (name, *arguments) in tools.items():
            yield _tool_call(call_id, name, "".join(arguments))
        yield finish_of(response, self.id)


async def _events(response: llm.AsyncResponse) -> AsyncGenerator[llm.parts.StreamEvent]:
    """The events of an async response; leaving closes the provider's stream.

    Some plugins close their connection only when a cancellation lands inside their own
    `__anext__`, not on `aclose()`. So whoever leaves from elsewhere gets one more pull, which
    is cancelled at once.
    """
    events = cast("AsyncGenerator[llm.parts.StreamEvent]", cast("Any", response).astream_events())
    finished = False
    try:
        async for event in events:
            yield event
        finished = True
    except GeneratorExit:
        finished = True
        await _cancel_inside(events)
        raise
    finally:
        if not finished:
            # An exception or a cancellation came out of the plugin's generator: it is closed.
            await events.aclose()


async def _cancel_inside(events: AsyncGenerator[Any]) -> None:
    async def pull() -> None:
        # Chunks that lie ready are read and dropped until the plugin waits for its provider.
        for _ in range(MAX_DROPPED_CHUNKS):
            await anext(events)

    puller = asyncio.create_task(pull())
    await asyncio.sleep(0)
    puller.cancel()
    # gather: the answer is not wanted any more, nor is the error that ends it.
    await asyncio.gather(puller, return_exceptions=True)
    await events.aclose()


def _attachments(attachments: tuple[Any, ...]) -> list[llm.Attachment]:
    return [llm.Attachment(type=a.type, content=a.content) for a in attachments]


def _message(message: Any) -> llm.parts.Message:
    make = {"system": llm.system, "user": llm.user, "assistant": llm.assistant}[message.role]
    return make(message.content, *_attachments(message.attachments))


def _chunk(
    event: llm.parts.StreamEvent, tools: dict[str, list[str]], *, structured: bool
) -> Chunk | None:
    """What an event says at once; pieces of tool calls are collected instead."""
    if event.type == "text":
        return event.chunk or None
    if event.type == "reasoning":
        return Reasoning(event.chunk) if event.chunk else None
    if event.type in {"tool_call_name", "tool_call_args"}:
        if structured:
            # Some models answer a schema by a forced tool: its arguments are the text then.
            return event.chunk or None if event.type == "tool_call_args" else None
        _collect(tools, event)
    return None


def _collect(tools: dict[str, list[str]], event: llm.parts.StreamEvent) -> None:
    key = event.tool_call_id or str(event.part_index)
    if event.type == "tool_call_name":
        tools.setdefault(key, [event.tool_name or event.chunk])
    else:
        tools.setdefault(key, [event.tool_name or ""]).append(event.chunk)


def _tool_call(call_id: str, name: str, arguments: str) -> ToolCall:
    try:
        return ToolCall(call_id, name, orjson.loads(arguments or "{}"))
    except orjson.JSONDecodeError as error:
        raise InvalidOutput(
            f"The model called {name!r} with arguments that are not JSON."
        ) from error
