"""Every wire against every fault of the mock providers, which know nothing of the wires."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from llm_stream.config import ProviderSection
from llm_stream.errors import StreamError
from llm_stream.models.adapter import ModelAdapter
from llm_stream.models.chunks import Finish, Message, ModelCall
from llm_stream.models.keys import Keyring
from llm_stream.models.syncbridge import SyncThreads
from llm_stream.models.toolset import Tool, ToolCall, Toolset
from llm_stream.models.wires.providers import Providers
from llm_stream.testing.mockproviders import (
    MockFault,
    MockProviders,
    MockScript,
    mock_providers,
)

from .conftest import KEY, ask, call
from .test_openaichat import SCHEMA, TALK

KINDS = ("openai", "openai_responses", "anthropic", "gemini", "palm")
STREAMS = KINDS[:-1]


@pytest.fixture
async def mocks() -> AsyncIterator[MockProviders]:
    """All five, without faults."""
    async with mock_providers() as running:
        yield running


@pytest.fixture
async def providers(mocks: MockProviders) -> AsyncIterator[Providers]:
    """One of each kind, by its name."""
    urls = {
        "openai": mocks.openai_url,
        "openai_responses": mocks.openai_url,
        "anthropic": mocks.anthropic_url,
        "gemini": mocks.gemini_url,
        "palm": mocks.palm_url,
    }
    sections = {
        kind: ProviderSection(kind=kind, base_url=url, api_key_env=("KEY",))  # type: ignore[arg-type]
        for kind, url in urls.items()
    }
    made = Providers(sections, Keyring({"KEY": KEY}, None))
    yield made
    await made.close()


def model(providers: Providers, kind: str, name: str = "any") -> ModelAdapter:
    """A model of that kind."""
    return ModelAdapter(providers.on_demand(f"{kind}/{name}"), SyncThreads(1))  # type: ignore[arg-type]


def faulty(mocks: MockProviders, fault: MockFault) -> None:
    """From now on every model fails in this way."""
    mocks.scripts["any"] = MockScript(faults=(fault,))


STATUSES = {
    400: "upstream_rejected", 401: "upstream_rejected", 403: "upstream_rejected",
    404: "upstream_rejected", 408: "upstream_failed", 409: "upstream_failed",
    422: "upstream_rejected", 429: "rate_limited", 500: "upstream_failed",
    502: "upstream_failed", 503: "upstream_failed", 504: "upstream_failed",
    529: "upstream_failed",
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("status", "code"), STATUSES.items())
async def test_a_status(
    status: int, code: str, kind: str, mocks: MockProviders, providers: Providers
) -> None:
    """Each status of each provider has its code, its advice, and costs one request."""
    faulty(mocks, MockFault(status=status, headers={"Retry-After": "3"}))

    with pytest.raises(StreamError) as caught:
        await ask(model(providers, kind))

    assert (caught.value.code, caught.value.status) == (code, status)
    assert caught.value.retry_after_ms == 3000
    assert KEY not in caught.value.detail
    assert len(mocks.requests) == 1


FAILURES = {
    "HTML": MockFault(html=True),
    "HTML with a status": MockFault(html=True, status=502),
    "empty": MockFault(empty=True),
    "wrong type": MockFault(content_type="text/plain"),
    "cut head": MockFault(cut_head_at=9),
    "cut by FIN": MockFault(cut_at=60),
    "cut by RST": MockFault(cut_at=60, how="rst"),
    "clean end": MockFault(cut_at=60, how="end"),
    "clean end without length": MockFault(cut_at=60, unframed=True),
    "malformed": MockFault(malformed_at=0),
    "error at once": MockFault(error_at=0),
}
STREAM_FAILURES = {
    "error in the middle": MockFault(error_at=2),
    "malformed in the middle": MockFault(malformed_at=2),
    "no finish reason": MockFault(no_finish=True),
    "overloaded in the middle": MockFault(error_at=2, error_status=529),
}


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        *((k, n) for k in KINDS for n in FAILURES),
        *((k, n) for k in STREAMS for n in STREAM_FAILURES),
    ],
)
async def test_a_failure(kind: str, name: str, mocks: MockProviders, providers: Providers) -> None:
    """Whatever a provider sends instead of an answer fails the call, as what may pass."""
    faulty(mocks, (FAILURES | STREAM_FAILURES)[name])

    with pytest.raises(StreamError) as caught:
        await ask(model(providers, kind))

    assert caught.value.code == "upstream_failed"
    assert len(mocks.requests) == 1


THREE_KB = 3072
WORDS = {"openai": 8, "openai_responses": 1, "anthropic": 18, "gemini": 10, "palm": 400}
"""Words of an answer of three kilobytes; a single one is more where all is said twice."""

END_MARK = {
    "openai": b'"finish_reason":"stop"',
    "openai_responses": b'"type":"response.completed"',
    "anthropic": b'"type":"message_stop"',
    "gemini": b'"finishReason":"STOP"',
    "palm": b"}]}",
}
"""Without it no answer is whole."""


@pytest.mark.slow
@pytest.mark.parametrize("how", ["", "-rst"], ids=["fin", "rst"])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_reply_cut_at_any_byte_is_not_whole(
    kind: str, how: str, mocks: MockProviders, providers: Providers
) -> None:
    """At each of the last three thousand bytes: without the end mark the call fails."""
    reply = await whole_reply(mocks, providers, f"{kind}/mock-words-{WORDS[kind]}-cut-9999{how}")
    end = reply.index(END_MARK[kind]) + len(END_MARK[kind])
    offsets = iter(range(len(reply) - THREE_KB, len(reply)))
    failed: dict[int, str] = {}

    async def cut_here_and_there() -> None:
        for offset in offsets:
            # The name is a part of what is said: it must not change its length.
            name = f"{kind}/mock-words-{WORDS[kind]}-cut-{offset:04}{how}"
            try:
                await ask(ModelAdapter(providers.on_demand(name), SyncThreads(1)))  # type: ignore[arg-type]
            except StreamError as error:
                failed[offset] = error.code

    await asyncio.gather(*(cut_here_and_there() for _ in range(8)))

    assert set(range(len(reply) - THREE_KB, end)) <= set(failed)
    assert set(failed.values()) == {"upstream_failed"}
    assert len(mocks.requests) == 1 + THREE_KB


async def whole_reply(mocks: MockProviders, providers: Providers, name: str) -> bytes:
    """What a provider would say to models whose names have so many letters."""
    await ask(ModelAdapter(providers.on_demand(name), SyncThreads(1)))  # type: ignore[arg-type]
    # Its connection may have been reset after the last byte; no call is to find that out.
    await providers.transport.close()
    return mocks.requests[0].reply


HARMLESS = {
    "none": MockFault(),
    "byte by byte": MockFault(split=1),
    "CRLF": MockFault(crlf=True, comments=True, split=7),
    "unframed": MockFault(unframed=True),
    "not counted": MockFault(no_usage=True),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", HARMLESS)
async def test_no_failure(name: str, kind: str, mocks: MockProviders, providers: Providers) -> None:
    """Split, odd but correct answers are whole, with all of their text."""
    plain, *_ = await ask_text(model(providers, kind))
    faulty(mocks, HARMLESS[name])

    text, finish = await ask_text(model(providers, kind))

    assert text == plain
    assert text
    counted = kind != "palm" and name != "not counted"
    assert (finish.output_tokens is not None) is counted or kind == "anthropic"


async def ask_text(adapter: ModelAdapter, asked: ModelCall | None = None) -> tuple[str, Finish]:
    """The text of an answer, and its end."""
    *chunks, finish = await ask(adapter, asked)
    assert isinstance(finish, Finish)
    return "".join(chunk for chunk in chunks if isinstance(chunk, str)), finish


@pytest.mark.parametrize("kind", ["openai", "openai_responses", "gemini"])
async def test_a_missing_last_mark_is_no_failure(
    kind: str, mocks: MockProviders, providers: Providers
) -> None:
    """The finish reason is what counts, not `[DONE]`."""
    faulty(mocks, MockFault(no_done=True))

    _, finish = await ask_text(model(providers, kind))

    assert finish.output_tokens


async def test_anthropics_message_has_to_end(mocks: MockProviders, providers: Providers) -> None:
    """A stop reason without `message_stop` is not the whole message."""
    faulty(mocks, MockFault(no_done=True))

    with pytest.raises(StreamError):
        await ask(model(providers, "anthropic"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", [MockFault(silent=True), MockFault(stall_at=0)])
async def test_cancelling_is_seen_within_a_second(
    fault: MockFault, kind: str, mocks: MockProviders, providers: Providers
) -> None:
    """The provider sees the connection close, before the head and after it."""
    faulty(mocks, fault)
    asking = asyncio.create_task(ask(model(providers, kind)))
    await mocks.until(lambda m: len(m.requests) == 1)

    began = asyncio.get_running_loop().time()
    asking.cancel()
    async with asyncio.timeout(2):
        await mocks.until(lambda m: m.requests[0].closed_at is not None)

    assert (mocks.requests[0].closed_at or 0) - began < 1
    await asyncio.gather(asking, return_exceptions=True)


@pytest.mark.parametrize("kind", STREAMS)
async def test_leaving_a_reader_that_stalls(
    kind: str, mocks: MockProviders, providers: Providers
) -> None:
    """Who took one chunk and no more leaves, and the provider sees it."""
    faulty(mocks, MockFault(stall_at=6))

    async with aclosing(model(providers, kind).stream(call(), None)) as chunks:
        await anext(chunks)

    async with asyncio.timeout(1):
        await mocks.until(lambda m: m.requests[0].closed_at is not None)


REQUESTS: list[tuple[str, dict[str, Any]]] = [
    ("openai", {"temperature": 0.5, "seed": 1, "stop": ["x"], "reasoning_effort": "low"}),
    ("openai_responses", {"temperature": 0.5, "max_tokens": 99, "verbosity": "low"}),
    ("anthropic", {"temperature": 0.5, "top_k": 2, "max_tokens": 99}),
    ("anthropic", {"thinking": True, "max_tokens": 4000}),
    ("gemini", {"temperature": 0.5, "max_output_tokens": 99, "thinking_level": "low"}),
]


@pytest.mark.parametrize(("kind", "options"), REQUESTS)
@pytest.mark.parametrize("more", [{}, {"schema": SCHEMA}])
async def test_requests_are_what_providers_take(
    kind: str, options: Any, more: Any, mocks: MockProviders, providers: Providers
) -> None:
    """System prompt, conversation, attachments, options and schema pass the mocks' own checks."""
    text, _ = await ask_text(model(providers, kind), call(*TALK, options=options, **more))

    assert text
    assert mocks.requests[0].status == 200


@pytest.mark.parametrize("name", ["chat-bison-001", "text-bison-001"])
async def test_palms_two_methods(name: str, mocks: MockProviders, providers: Providers) -> None:
    """Chat and text models are asked in their own way."""
    asked = call(Message("system", "Be brief."), Message("user", "Hi"), options={"top_k": 2})

    text, _ = await ask_text(model(providers, "palm", name), asked)

    assert text


@pytest.mark.parametrize("kind", KINDS)
async def test_nobody_there(kind: str, mocks: MockProviders, providers: Providers) -> None:
    """A refused connection is a failure that may pass."""
    await mocks.refuse()

    with pytest.raises(StreamError) as caught:
        await ask(model(providers, kind))

    assert caught.value.code == "upstream_failed"


RUINS = (
    MockFault(status=500), MockFault(cut_at=60), MockFault(cut_at=60, how="rst"),
    MockFault(error_at=2), MockFault(malformed_at=1), MockFault(empty=True), MockFault(),
    MockFault(stall_at=3),
)  # fmt: skip


async def ruined(mocks: MockProviders, adapter: ModelAdapter, fault: MockFault) -> None:
    """Ask and fail; a call that stalls is cancelled."""
    faulty(mocks, fault)
    asking = asyncio.create_task(ask(adapter))
    if fault.stall_at is not None:
        await mocks.until(lambda m: bool(m.requests) and m.requests[-1].chunks == 3)
        asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    mocks.requests.clear()


def kept() -> tuple[int, int]:
    """How many tasks and open files there are."""
    gc.collect()
    return len(asyncio.all_tasks()), len(list(Path("/dev/fd").iterdir()))


@pytest.mark.slow
async def test_nothing_is_left_of_a_thousand_faulty_calls(
    mocks: MockProviders, providers: Providers
) -> None:
    """No task, no open file and no warning more than after the first few."""
    adapters = [model(providers, kind) for kind in STREAMS]

    async def rounds(count: int) -> None:
        for _ in range(count):
            for adapter in adapters:
                for fault in RUINS:
                    await ruined(mocks, adapter, fault)

    await rounds(1)
    tasks, files = kept()
    await rounds(32)
    tasks_after, files_after = kept()

    assert tasks_after <= tasks + 1
    assert files_after <= files + 1


@pytest.mark.parametrize("kind", STREAMS)
async def test_a_call_of_a_tool_and_its_result(kind: str, providers: Providers) -> None:
    """The model calls what is declared, and answers when it has the result."""
    adapter, question = model(providers, kind), Message("user", "Will it rain?")
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    tools = Toolset((Tool("weather", "Tells the weather.", schema),))

    *_, called, finish = await ask(adapter, call(question, tools=tools))
    assert isinstance(called, ToolCall)
    assert (called.name, [*called.arguments]) == ("weather", ["city"])

    said = Message("assistant", "", (), (called,))
    result = Message("tool", "It will not.", tool_call_id=called.tool_call_id)
    *_, text, finish = await ask(adapter, call(question, said, result, tools=tools))
    assert isinstance(text, str)
    assert isinstance(finish, Finish)
