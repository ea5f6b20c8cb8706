"""What every wire owes: the truth about an answer's end, and a connection that is closed."""

import asyncio
import gc
from contextlib import aclosing, suppress
from typing import Any

import orjson
import pytest

from llm_stream.errors import (
    MissingKey,
    StreamError,
    UpstreamFailed,
    UpstreamRejected,
)
from llm_stream.models.chunks import Chunk, Finish, Reasoning
from llm_stream.models.wires.answer import Answer
from llm_stream.models.wires.model import WireModel

from .conftest import KEY, MakeAdapter, ask, call
from .fakeserver import FakeProvider, Reply, json_reply
from .samples import PALM, SAMPLES, Sample, sse

KINDS = sorted(SAMPLES)
ALL_KINDS = [*KINDS, "palm"]


@pytest.fixture(params=KINDS)
def kind(request: Any) -> str:
    """Each wire that streams."""
    return str(request.param)


@pytest.fixture
def sample(kind: str) -> Sample:
    """Its answer."""
    return SAMPLES[kind]


async def test_an_answer_comes_with_its_end(
    kind: str, sample: Sample, wire: MakeAdapter, provider: FakeProvider
) -> None:
    """Text, the provider's own finish reason, the model that answered and its counts."""
    provider.answer(Reply(sample.blocks))

    *text, finish = await ask(wire(kind))

    assert text == ["Héllo,", " wörld."]
    assert isinstance(finish, Finish)
    assert (finish.finish_reason, finish.model) == (sample.finish_reason, sample.model)
    assert (finish.input_tokens, finish.output_tokens) == (9, 4)
    assert provider.last.target == sample.path


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
async def test_blocks_may_be_split_anywhere(
    size: int, kind: str, sample: Sample, wire: MakeAdapter, provider: FakeProvider
) -> None:
    """Neither lines nor characters have to arrive in one block; CRLF and comments are fine."""
    body = b": hello\r\n\r\n" + sample.body.replace(b"\n", b"\r\n")
    provider.answer(Reply([body[n : n + size] for n in range(0, len(body), size)]))

    chunks = await ask(wire(kind))

    assert "".join(chunk for chunk in chunks if isinstance(chunk, str)) == "Héllo, wörld."


@pytest.mark.slow
@pytest.mark.parametrize("end", ["eof", "cut", "reset"])
async def test_a_cut_answer_never_looks_whole(
    end: Any, kind: str, sample: Sample, wire: MakeAdapter, provider: FakeProvider
) -> None:
    """Cut after any byte, it is whole from its finish reason on and a failure before."""
    adapter = wire(kind)
    offsets = range(0, len(sample.body), 1 if end == "eof" else 13)

    for offset in offsets:
        provider.answer(Reply([sample.body[:offset]] if offset else [], end=end))
        try:
            await ask(adapter)
        except UpstreamFailed:
            # A reset may overtake what was sent before it.
            assert offset < sample.whole_from or end == "reset"
        else:
            assert offset >= sample.whole_from


@pytest.mark.parametrize(
    "reply",
    [
        Reply(),
        Reply([b"\n\n"]),
        Reply(sse(b"{]")),
        Reply(sse(b"[]")),
        Reply(sse(b"null")),
        Reply(sse(b'"text"')),
        Reply(sse(b"{}")),
        Reply(sse(b"[DONE]")),
        Reply(sse(b'{"choices":[{"delta":{"content":7}}],"type":"x","candidates":7}')),
        Reply(sse(b"\xff\xfe")),
        Reply([b"data: " + b"x" * 1_000_000] * 10),
        json_reply({"answer": "whole"}),
        Reply([b"<html>"], content_type="text/html"),
    ],
)
async def test_what_is_no_answer_is_a_failure(
    reply: Reply, kind: str, wire: MakeAdapter, provider: FakeProvider
) -> None:
    """Empty bodies, bad lines, other shapes, endless lines and other types are the upstream's."""
    provider.answer(reply)

    with pytest.raises(UpstreamFailed):
        await ask(wire(kind))


async def test_what_comes_in_one_read_is_passed_on_at_once(
    kind: str, sample: Sample, wire: MakeAdapter, provider: FakeProvider
) -> None:
    """All chunks of a block come together, and the end by itself."""
    provider.answer(Reply([sample.body]))

    async with aclosing(wire(kind).stream(call(), None)) as batches:
        first, last = [
            [chunk for chunk in chunks if not isinstance(chunk, Reasoning)]
            async for chunks in batches
        ]

    assert first == ["Héllo,", " wörld."]
    assert [type(chunk) for chunk in last] == [Finish]


async def test_what_comes_before_a_fault_is_passed_on(
    kind: str, sample: Sample, wire: MakeAdapter, provider: FakeProvider
) -> None:
    """Also where the fault is in the same block, and then it fails the answer."""
    # The first text is behind the opening events that some have.
    said = sample.body[: sample.body.index(b"\n\n", sample.body.index("Héllo".encode())) + 2]
    provider.answer(Reply([said + b"data: {\n\n"]))
    text: list[Chunk] = []

    with pytest.raises(UpstreamFailed, match="not JSON"):
        async with aclosing(wire(kind).stream(call(), None)) as batches:
            async for chunks in batches:
                text += chunks

    assert [chunk for chunk in text if isinstance(chunk, str)] == ["Héllo,"]


@pytest.mark.parametrize("said", [b"data: {\n\n", b"data: 5\n\n"], ids=["no JSON", "no format"])
async def test_a_faulty_answer_leaves_nothing_to_the_collector(
    wire: MakeAdapter, provider: FakeProvider, said: bytes
) -> None:
    """Once nobody has its failure any more, nothing of the call is there."""
    adapter = wire("openai")
    provider.answer(Reply([said]))

    async def fail() -> None:
        with suppress(UpstreamFailed):
            await ask(adapter)

    def there() -> int:
        return sum(issubclass(type(each), (Answer, UpstreamFailed)) for each in gc.get_objects())

    await fail()
    gc.collect()
    gc.disable()
    try:
        before = there()
        await fail()
        after = there()
    finally:
        gc.enable()

    assert after == before


async def test_an_error_in_mid_answer_is_one(
    kind: str, sample: Sample, wire: MakeAdapter, provider: FakeProvider
) -> None:
    """An error event after text fails the answer, and what came before has been given out."""
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    provider.answer(Reply([*sample.blocks[: sample.whole - 1], *sse(error)]))

    with pytest.raises(UpstreamFailed, match="529: Overloaded") as caught:
        await ask(wire(kind))

    assert caught.value.status == 529


async def test_an_answer_that_is_whole_ends_promptly(
    kind: str, sample: Sample, wire: MakeAdapter, provider: FakeProvider
) -> None:
    """A provider that never ends the body does not hold the answer up for long."""
    blocks = [block for block in sample.blocks if b"[DONE]" not in block]
    provider.answer(Reply(blocks, end="hold"))

    async with asyncio.timeout(5):
        *_, finish = await ask(wire(kind))

    assert isinstance(finish, Finish)
    assert finish.output_tokens == 4


@pytest.mark.parametrize("kind", ALL_KINDS)
@pytest.mark.parametrize("silent", [True, False])
async def test_cancelling_closes_the_connection(
    silent: bool, kind: str, wire: MakeAdapter, provider: FakeProvider
) -> None:
    """Before the head of the answer and in the middle of it, within a second."""
    blocks = [b'{"candidates":'] if kind == "palm" else SAMPLES[kind].blocks[:1]
    content_type = "application/json" if kind == "palm" else "text/event-stream"
    provider.answer(Reply(blocks, end="hold", silent=silent, content_type=content_type))
    asking = asyncio.create_task(ask(wire(kind)))
    await provider.begun.wait()

    asking.cancel()
    async with asyncio.timeout(1):
        await provider.gone.wait()

    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_leaving_between_chunks_closes_the_connection(
    kind: str, sample: Sample, wire: MakeAdapter, provider: FakeProvider
) -> None:
    """A reader that stops reading and closes the stream ends the call upstream."""
    provider.answer(Reply(sample.blocks[: sample.whole - 1], end="hold"))

    async with aclosing(wire(kind).stream(call(), None)) as chunks:
        await anext(chunks)

    async with asyncio.timeout(1):
        await provider.gone.wait()


@pytest.mark.parametrize("kind", ALL_KINDS)
async def test_connections_are_used_again(
    kind: str, wire: MakeAdapter, provider: FakeProvider
) -> None:
    """Ten questions in a row cost one connection."""
    provider.answer(json_reply(PALM) if kind == "palm" else Reply(SAMPLES[kind].blocks))
    adapter = wire(kind)

    for _ in range(10):
        await ask(adapter)

    assert provider.connections == 1


@pytest.mark.parametrize("kind", ALL_KINDS)
async def test_a_missing_key_is_told_before_anything_is_sent(
    kind: str, wire: MakeAdapter, provider: FakeProvider
) -> None:
    """No key, no request; the message says what to do."""
    adapter = wire(kind, api_key_env=("OTHER_KEY",))

    with pytest.raises(MissingKey, match="Set OTHER_KEY, or use 'llm-stream keys set p'"):
        await ask(adapter)

    assert adapter.lacks_key
    assert provider.connections == 0


@pytest.mark.parametrize("kind", ALL_KINDS)
async def test_the_key_stands_in_a_header_only(
    kind: str, wire: MakeAdapter, provider: FakeProvider
) -> None:
    """In exactly one header, never in a URL or body."""
    provider.answer(json_reply(PALM) if kind == "palm" else Reply(SAMPLES[kind].blocks))

    await ask(wire(kind))

    request = provider.last
    assert sum(KEY in value for value in request.headers.values()) == 1
    assert KEY.encode() not in orjson.dumps([request.target, request.body])


@pytest.mark.parametrize("kind", ALL_KINDS)
async def test_no_key_is_sent_to_a_provider_that_needs_none(
    kind: str, wire: MakeAdapter, provider: FakeProvider
) -> None:
    """A server without keys gets no made-up one, and its models lack none."""
    provider.answer(json_reply(PALM) if kind == "palm" else Reply(SAMPLES[kind].blocks))
    adapter = wire(kind, api_key_env=())

    await ask(adapter)

    assert not adapter.lacks_key
    assert not {"authorization", "x-api-key", "x-goog-api-key"} & set(provider.last.headers)


@pytest.mark.parametrize("kind", ALL_KINDS)
async def test_a_redirect_is_not_followed(
    kind: str, wire: MakeAdapter, provider: FakeProvider
) -> None:
    """A provider that points elsewhere gets no second request, least of all there."""
    provider.answer(Reply(status=307, headers={"Location": "http://127.0.0.1:9/elsewhere"}))

    with pytest.raises(UpstreamRejected, match="redirects") as caught:
        await ask(wire(kind))

    assert caught.value.status == 307
    assert len(provider.requests) == 1


@pytest.mark.parametrize("kind", ALL_KINDS)
async def test_a_refusal_never_shows_a_key(
    kind: str, wire: MakeAdapter, provider: FakeProvider
) -> None:
    """A provider that repeats the key it was sent is cut and scrubbed, with its request id."""
    error = {"error": {"message": f"Bad key {KEY}. " + "x" * 1000, "type": "authentication_error"}}
    provider.answer(json_reply(error, status=401, headers={"request-id": "req_7"}))

    with pytest.raises(StreamError) as caught:
        await ask(wire(kind))

    assert "[redacted]" in caught.value.detail
    assert KEY not in caught.value.detail
    assert len(caught.value.detail) < 400
    assert (caught.value.status, caught.value.upstream_request) == (401, "req_7")


@pytest.mark.parametrize("kind", ALL_KINDS)
async def test_nobody_listening_is_a_failure(kind: str, wire: MakeAdapter) -> None:
    """A refused connection may pass; it is the upstream's."""
    with pytest.raises(UpstreamFailed, match="no answer from the provider"):
        await ask(wire(kind, base_url="http://127.0.0.1:1"))


def test_a_wire_that_lacks_a_method_cannot_be_made() -> None:
    """What every wire has to say is missed when it is made, not when it is asked."""

    class Headless(WireModel):
        def path(self, *, stream: bool) -> str:
            return "/"

    class Deaf(Answer):
        pass

    with pytest.raises(TypeError, match="answer.*headers.*request"):
        Headless(None, None, None, None)  # type: ignore[abstract, arg-type]
    with pytest.raises(TypeError, match="take_whole"):
        Deaf("m")  # type: ignore[abstract]


CALLS = {
    "openai": {"choices": [{"delta": {"tool_calls": [{"id": 7, "function": {"name": "x"}}]}}]},
    "openai_responses": {
        "type": "response.output_item.added",
        "output_index": 0,
        "item": {"type": "function_call", "id": "i", "call_id": 7, "name": "x"},
    },
    "anthropic": {
        "type": "content_block_start",
        "index": 0,
        "content_block": {"type": "tool_use", "id": 7, "name": "x", "input": {}},
    },
    "gemini": {"candidates": [{"content": {"parts": [{"functionCall": {"id": 7, "name": "x"}}]}}]},
}


async def test_a_call_of_a_tool_has_a_name_and_an_id(
    kind: str, sample: Sample, wire: MakeAdapter, provider: FakeProvider
) -> None:
    """One whose id is no text fails the answer, instead of what its caller does with it."""
    provider.answer(Reply([*sse(CALLS[kind]), *sample.blocks]))

    with pytest.raises(UpstreamFailed, match="TypeError"):
        await ask(wire(kind))
