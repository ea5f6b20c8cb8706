"""Events that were joined on the way say in the end what they would have said by themselves."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import llm
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from llm.parts import StreamEvent

from llm_stream.models.adapter import ModelAdapter
from llm_stream.models.chunks import Message, ModelCall, Reasoning
from llm_stream.models.joining import JOIN_EVENTS, Bundle, bundled, join_events
from llm_stream.models.leaving import ResponseEvents
from llm_stream.models.syncbridge import SyncThreads


class Sayer(llm.AsyncModel):
    """Says the given events."""

    model_id = "sayer"
    can_stream = True

    def __init__(self, events: list[StreamEvent]) -> None:
        self.events = events
        self.response: Any = None

    async def execute(self, *given: Any, **more: Any) -> AsyncGenerator[Any]:
        """See `llm.AsyncModel`; remembers whom it answers."""
        self.response = more.get("response") or given[2]
        for event in self.events:
            yield event


ARGUMENTS = StreamEvent("tool_call_args", "{}")

words = st.builds(
    StreamEvent,
    type=st.just("text"),
    chunk=st.text(max_size=3),
    part_index=st.sampled_from([None, 0]),
    provider_metadata=st.sampled_from([None, None, {"citation": "c1"}]),
    message_index=st.integers(0, 1),
) | st.builds(
    StreamEvent,
    type=st.just("reasoning"),
    chunk=st.text(max_size=3),
    part_index=st.sampled_from([None, 1, 2]),
    redacted=st.booleans(),
    provider_metadata=st.sampled_from([None, None, {"signature": "s1"}, {"signature": "s2"}]),
    message_index=st.integers(0, 1),
)
calls = st.builds(
    StreamEvent,
    type=st.sampled_from(["tool_call_name", "tool_call_args"]),
    chunk=st.sampled_from(["now", "{}"]),
    tool_call_id=st.sampled_from(["c1", "c2", None]),
)


async def told(said: list[dict[str, Any]], every: int, *, at_once: bool = False) -> Any:
    """What llm makes of the events; joined after every so many of them, 0 = never."""
    events = [StreamEvent(**event) for event in said]
    response = Sayer(list(bundled(events)) if at_once else events).prompt("Hi")
    start = 0
    async for number, _ in numbered(response):
        if every and not number % every:
            start = join_events(response, start)
    try:
        messages = [message.to_dict() for message in await response.messages()]
    except ValueError as error:  # two kinds of pieces for one part are a plugin's fault
        messages = [str(error)]
    return await response.text(), messages


async def numbered(response: Any) -> AsyncGenerator[tuple[int, StreamEvent]]:
    """The events of the response, from 1; told again when it has ended."""
    number = 0
    async for event in response.astream_events():
        number += 1
        yield number, event


@given(events=st.lists(words | calls, max_size=30), every=st.integers(1, 7))
async def test_an_answer_is_the_same_joined(events: list[StreamEvent], every: int) -> None:
    """Text, thoughts, their signatures and calls of tools, in llm's order, whatever comes."""
    said = [dict(vars(event)) for event in events]

    assert await told(said, every) == await told(said, 0)


@given(events=st.lists(words | calls, max_size=30), every=st.integers(0, 7))
@example(events=[ARGUMENTS, StreamEvent("text", ""), ARGUMENTS], every=0)
async def test_an_answer_is_the_same_in_bundles(events: list[StreamEvent], every: int) -> None:
    """Joined afterwards as well, or not."""
    said = [dict(vars(event)) for event in events]

    assert await told(said, every, at_once=True) == await told(said, 0)


@given(events=st.lists(words | calls | st.text(max_size=3), max_size=30))
def test_bundles_lose_nothing(events: list[StreamEvent | str]) -> None:
    """All pieces are there in their order, but for empty words; what is no word is as it was."""
    found: list[Any] = []
    for event in bundled(events):
        if isinstance(event, Bundle):
            found += event.take()
        else:
            found.append(event.chunk if is_piece(event) else event)
    expected = [
        each if isinstance(each, str) else each.chunk if is_piece(each) else each for each in events
    ]

    assert found == [each for each in expected if each != ""]


def is_piece(event: StreamEvent) -> bool:
    """Whether it has nothing to say but what it is a piece of."""
    plain = not event.redacted and not event.provider_metadata
    return plain and event.type in {"text", "reasoning", "tool_call_args"}


@pytest.mark.parametrize("kind", ["text", "reasoning"])
async def test_few_events_are_kept_of_a_long_answer(kind: str) -> None:
    """One for so many that came; the words are all there."""
    said = [f"{n} " for n in range(10 * JOIN_EVENTS)]
    sayer = Sayer([StreamEvent(kind, word) for word in said])
    call = ModelCall((Message("user", "Hi"),))
    async with aclosing(ModelAdapter(sayer, SyncThreads(1)).stream(call, None)) as batches:
        seen = [chunk async for chunks in batches for chunk in chunks]
    response = sayer.response
    kept = [event async for _, event in numbered(response)]

    assert seen[:-1] == (said if kind == "text" else [Reasoning(word) for word in said])
    assert len(kept) == 10
    assert len(vars(response)["_chunks"]) == (10 if kind == "text" else 0)
    assert "".join(event.chunk for event in kept) == "".join(said)


async def test_what_is_no_text_is_left_alone() -> None:
    """A plugin that says so has always been let through."""
    events = [StreamEvent("reasoning", None), StreamEvent("text", "a"), StreamEvent("text", "b")]  # type: ignore[arg-type]
    response = Sayer(events).prompt("Hi")
    async with ResponseEvents(response) as found:
        seen = [event.chunk async for event in found]
    assert join_events(response, 0) == 2

    assert seen == [None, "a", "b"]
    assert await response.text() == "ab"


async def test_an_llm_that_keeps_them_otherwise_is_left_alone() -> None:
    """Nothing is done to a response without llm's lists."""

    class Other:
        pass

    assert join_events(Other(), 0) == 0  # type: ignore[arg-type]
