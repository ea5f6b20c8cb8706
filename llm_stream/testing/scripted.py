"""Async and sync `llm` models that say what a script says, and fail where it says."""

import asyncio
import random
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import llm
from llm.parts import StreamEvent
from pydantic import Field


@dataclass(frozen=True, slots=True)
class Fault:
    """Where and how a scripted answer goes wrong.

    Args:
        at: number of chunks said before it happens; 0 = before the first.
        error: raised there.
        stall: instead of raising, say nothing more until cancelled or closed.
        end: instead of raising, end as if all had been said.
    """

    at: int = 0
    error: BaseException | None = None
    stall: bool = False
    end: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """One simulated answer.

    Args:
        chunks: the pieces of text, in order.
        reasoning: pieces of reasoning, said first.
        tool_calls: (id, name, arguments as JSON text), said after the text.
        delay_seconds: pause before each chunk; 0 = only let the loop turn.
        jitter: share of the delay that varies, 0 to 1, drawn from `seed`.
        burst: say all chunks without letting the loop turn.
        seed: makes the jitter repeatable.
        usage: (input, output) tokens; None = the model does not report any.
        finish_reason: what `response_json` says at the end.
        fault: what goes wrong, if anything.
    """

    chunks: tuple[str, ...] = ("Hello", ", ", "world", ".")
    reasoning: tuple[str, ...] = ()
    tool_calls: tuple[tuple[str, str, str], ...] = ()
    delay_seconds: float = 0.0
    jitter: float = 0.0
    burst: bool = False
    seed: int = 0
    usage: tuple[int, int] | None = (3, 4)
    finish_reason: str = "stop"
    fault: Fault | None = None

    def events(self) -> Iterator[StreamEvent]:
        """Everything the script says, in order."""
        for piece in self.reasoning:
            yield StreamEvent(type="reasoning", chunk=piece)
        for piece in self.chunks:
            yield StreamEvent(type="text", chunk=piece)
        for call_id, name, arguments in self.tool_calls:
            yield StreamEvent(
                type="tool_call_name", chunk=name, tool_call_id=call_id, tool_name=name
            )
            yield StreamEvent(type="tool_call_args", chunk=arguments, tool_call_id=call_id)

    def delays(self) -> Iterator[float]:
        """Seconds before each event."""
        draw = random.Random(self.seed)  # noqa: S311 - repeatable, not secret
        while True:
            yield self.delay_seconds * (1 + self.jitter * draw.uniform(-1, 1))


def words(count: int, seed: int = 0) -> tuple[str, ...]:
    """`count` different chunks of seeded pseudo-text, to stream and compare."""
    draw = random.Random(seed)  # noqa: S311 - repeatable, not secret
    syllables = ("ka", "lo", "mi", "tér", "su", "ve", "ñu", "ro", "日", "🙂")
    return tuple(
        "".join(draw.choices(syllables, k=draw.randint(1, 3))) + f"{place} "
        for place in range(count)
    )


@dataclass(slots=True)
class Call:
    """One prompt a scripted model has received, as the tests see it.

    `closed` is set when the model has let go of its upstream, `at` is the loop's or the
    monotonic time of that; `said` counts events handed out.
    """

    prompt: str
    system: str | None
    options: dict[str, Any]
    messages: list[Any]
    schema: Any
    tools: list[Any]
    said: int = 0
    closed: threading.Event = field(default_factory=threading.Event)
    closed_at: float | None = None

    def close(self) -> None:
        """The upstream is gone."""
        self.closed_at = time.monotonic()
        self.closed.set()


ATTACHMENT_TYPES: Final = frozenset({"image/png", "text/plain"})


class ScriptOptions(llm.Options):
    """Options the scripted models take; they are checked and recorded, not obeyed."""

    temperature: float | None = Field(default=None, ge=0, le=2, description="0 to 2")
    max_tokens: int | None = Field(default=None, ge=1, description="at least 1")
    seed: int | None = Field(default=None, description="any integer")


class _Scripted:
    """What both variants share.

    Attributes:
        calls: every prompt received, oldest first.
        scripts: answers, one a prompt; the last one repeats.
        respond: if set, makes the script of each prompt instead.
    """

    def __init__(self, model_id: str = "scripted", *scripts: Script) -> None:
        self.model_id = model_id
        self.scripts = list(scripts) or [Script()]
        self.calls: list[Call] = []
        self.respond: Callable[[Call], Script] | None = None

    def _begin(self, prompt: Any) -> tuple[Script, Call]:
        call = Call(
            prompt.prompt or "",
            prompt.system,
            prompt.options.model_dump(exclude_none=True),
            list(prompt.messages),
            prompt.schema,
            list(prompt.tools),
        )
        script = (
            self.respond(call)
            if self.respond is not None
            else self.scripts[min(len(self.calls), len(self.scripts) - 1)]
        )
        self.calls.append(call)
        return script, call

    def _end(self, script: Script, response: Any) -> None:
        response.response_json = {"finish_reason": script.finish_reason}
        response.set_resolved_model(f"{self.model_id}-v1")
        if script.usage is not None:
            response.set_usage(input=script.usage[0], output=script.usage[1])


class ScriptedModel(_Scripted, llm.AsyncModel):
    """An async model that follows scripts.

    Args:
        model_id: its name in the catalog.
        scripts: one a prompt, the last repeats; none = a greeting.
    """

    can_stream = True
    supports_schema = supports_tools = takes_toolset = True
    attachment_types = ATTACHMENT_TYPES
    Options: ClassVar[type[ScriptOptions]] = ScriptOptions  # type: ignore[assignment]

    async def execute(
        self, prompt: Any, stream: Any, response: Any, conversation: Any = None
    ) -> AsyncGenerator[StreamEvent]:
        """Say the script; see `llm.AsyncModel.execute`."""
        script, call = self._begin(prompt)
        try:
            delays = script.delays()
            for event in script.events():
                await self._misbehave(script, call)
                if script.fault and script.fault.end and call.said == script.fault.at:
                    break
                if not script.burst:
                    await self.pause(next(delays))
                call.said += 1
                yield event
            else:
                await self._misbehave(script, call)
            self._end(script, response)
        finally:
            call.close()

    async def pause(self, seconds: float) -> None:
        """Wait before a chunk; a test may override it to hold the model where it wants."""
        await asyncio.sleep(seconds)

    async def _misbehave(self, script: Script, call: Call) -> None:
        fault = script.fault
        if fault is None or call.said != fault.at or fault.end:
            return
        if fault.stall:
            await asyncio.get_running_loop().create_future()
        if fault.error is not None:
            raise fault.error


class ScriptedSyncModel(_Scripted, llm.Model):
    """A sync-only model that follows scripts; what a plugin without an async twin is.

    `release` lets a stalled script go on, as a blocked read that returns at last.
    """

    can_stream = True
    supports_schema = supports_tools = takes_toolset = True
    attachment_types = ATTACHMENT_TYPES
    Options: ClassVar[type[ScriptOptions]] = ScriptOptions  # type: ignore[assignment]

    def __init__(self, model_id: str = "scripted-sync", *scripts: Script) -> None:
        super().__init__(model_id, *scripts)
        self.release = threading.Event()

    def execute(
        self, prompt: Any, stream: Any, response: Any, conversation: Any = None
    ) -> Iterator[StreamEvent]:
        """Say the script; see `llm.Model.execute`."""
        script, call = self._begin(prompt)
        fault = script.fault
        try:
            delays = script.delays()
            for event in script.events():
                if fault and call.said == fault.at:
                    if fault.end:
                        break
                    if fault.stall:
                        self.release.wait()
                    if fault.error is not None:
                        raise fault.error
                if seconds := next(delays):
                    time.sleep(seconds)
                call.said += 1
                yield event
            self._end(script, response)
        finally:
            call.close()
