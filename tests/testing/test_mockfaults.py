"""Each fault of a mock provider, as it looks to a client."""

import asyncio
import json
from email.utils import parsedate_to_datetime

import pytest

from llm_stream.testing import MockAnswer, MockFault, MockScript, mock_providers
from llm_stream.testing.mockproviders import MockProviders

from .rawhttp import Arrived, chat_request, connect, exchange, post

KEY = {"authorization": "Bearer sk-abcdefgijkl"}


async def ask(model: str, fault: MockFault | None = None) -> Arrived:
    """The reply to one streamed chat completion of that model, or with that fault."""
    async with mock_providers(faults={model: fault} if fault else {}) as mocks:
        return await exchange(mocks, chat_request(model))


def text_of(body: bytes) -> str:
    """The text in a stream of chat completions, however it is broken up."""
    lines = [line for line in body.decode().splitlines() if line.startswith("data: {")]
    choices = [json.loads(line[6:])["choices"][0] for line in lines]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


@pytest.mark.parametrize(
    "name", ["mock-split-1", "mock-crlf", "mock-comments", "mock-split-7-crlf-comments"]
)
async def test_other_forms_of_the_same_stream(name: str) -> None:
    """Split inside characters, with CR LF or with comments, the stream says the same."""
    usual, other = await ask("mock"), await ask(name)

    assert text_of(other.body) == text_of(usual.body) != ""
    assert other.raw_body != usual.raw_body


async def test_split_characters_cross_chunks() -> None:
    """`split-1` sends each byte of a character as a chunk of its own."""
    arrived = await ask("mock-split-1")

    emoji = b"".join(b"1\r\n%c\r\n" % byte for byte in "日".encode())
    assert emoji in arrived.raw_body


async def test_a_line_of_ten_megabytes() -> None:
    """`long-10000000` puts so many bytes into one event."""
    arrived = await ask("mock-long-10000000")

    assert max(map(len, arrived.body.split(b"\n"))) > 10_000_000
    assert len(text_of(arrived.body)) == 10_000_000


async def test_a_malformed_chunk_does_not_end_the_stream() -> None:
    """`malformed-2` breaks one event off, and the rest follows."""
    events = (await ask("mock-malformed-2")).body.decode().split("\n\n")

    with pytest.raises(json.JSONDecodeError):
        json.loads(events[2].removeprefix("data: "))
    assert json.loads(events[3].removeprefix("data: "))
    assert events[-2:] == ["data: [DONE]", ""]


@pytest.mark.parametrize(
    ("name", "absent", "present"),
    [
        ("mock-nodone", b"[DONE]", b'"finish_reason":"stop"'),
        ("mock-nofinish", b'"finish_reason":"stop"', b'"content"'),
        ("mock-nousage", b'"total_tokens"', b"[DONE]"),
    ],
)
async def test_what_is_absent(name: str, absent: bytes, present: bytes) -> None:
    """The end mark, the finish reason or the usage can be missing."""
    async with mock_providers() as mocks:
        request = chat_request(name, stream_options={"include_usage": True})
        body = (await exchange(mocks, request)).body

    assert absent not in body
    assert present in body


async def test_an_empty_reply() -> None:
    """`empty` is a 200 that ends at once."""
    arrived = await ask("mock-empty")

    assert (arrived.status, arrived.body) == (200, b"")


@pytest.mark.parametrize(
    ("name", "said"), [("mock-plain", "text/plain"), ("mock-html-502", "text/html")]
)
async def test_wrong_content_types(name: str, said: str) -> None:
    """The content type can be another one, and the body a gateway's page."""
    arrived = await ask(name)

    assert arrived.head["content-type"] == said
    assert (b"<html>" in arrived.body) == (said == "text/html")


@pytest.mark.parametrize(
    ("name", "header", "value"),
    [("mock-429-after-5", "retry-after", "5"), ("mock-503-afterms-500", "retry-after-ms", "500")],
)
async def test_retry_advice(name: str, header: str, value: str) -> None:
    """`Retry-After` in seconds and `retry-after-ms` stand beside a status."""
    assert (await ask(name)).head[header] == value


async def test_retry_advice_as_a_date() -> None:
    """`afterdate-60` is an HTTP date in a minute."""
    head = (await ask("mock-429-afterdate-60")).head

    moment = parsedate_to_datetime(head["retry-after"])
    assert moment.tzinfo is not None
    assert head["retry-after"].endswith(" GMT")


@pytest.mark.parametrize("value", ["-1", "soon", "1e999", "9" * 400, "nan", "0"])
async def test_absurd_retry_advice(value: str) -> None:
    """A fault sends any header, however absurd."""
    arrived = await ask("gpt-x", MockFault(status=429, headers={"Retry-After": value}))

    assert (arrived.status, arrived.head["retry-after"]) == (429, value)


async def test_an_empty_value_takes_a_header_away() -> None:
    """A header with an empty value is not sent."""
    arrived = await ask("gpt-x", MockFault(headers={"x-request-id": ""}))

    assert "x-request-id" not in arrived.head


@pytest.mark.parametrize("at", [0, 1, 17, 40])
async def test_a_cut_in_the_headers_is_exact(at: int) -> None:
    """`cuthead-17` ends the connection after 17 bytes of status line and headers."""
    whole, arrived = await ask("mock"), await ask(f"mock-cuthead-{at}")

    assert arrived.data == whole.data[:at]


async def test_slow_headers_take_their_time(mocks: MockProviders) -> None:
    """`headers-60000` keeps the status line back; a client that leaves is recorded."""
    _reader, writer = await connect(mocks)
    writer.write(chat_request("mock-headers-60000"))
    await mocks.until(lambda m: bool(m.requests))
    writer.close()

    (request,) = mocks.requests
    await request.ended()

    assert (request.sent, request.left) == (0, "fin")


async def test_a_pace_varies_as_its_seed_has_it() -> None:
    """Pauses lie within the share that varies, and are the same for the same request and seed."""
    drawn = []
    for seed in (1, 1, 2):
        async with mock_providers(seed=seed) as mocks:
            await exchange(mocks, chat_request("mock-words-9-pace-2-jitter-50"))
            drawn.append(mocks.requests[0].pauses)

    first, equal, other = drawn
    assert len(set(first)) == len(first) > 9
    assert all(0.001 <= pause <= 0.003 for pause in first)
    assert (first == equal, first == other) == (True, False)


async def test_silence_until_resumed(mocks: MockProviders) -> None:
    """`silent` answers nothing until a test lets it go on."""
    asked = asyncio.create_task(exchange(mocks, chat_request("mock-silent")))
    await mocks.until(lambda m: bool(m.requests))

    mocks.requests[-1].resume()

    assert (await asked).status == 200


async def test_a_stall_after_the_last_chunk(mocks: MockProviders) -> None:
    """A place beyond the end is the end: all is said, but the body does not end."""
    _reader, writer = await connect(mocks)
    writer.write(chat_request("mock-words-1-stall-99"))
    await mocks.until(lambda m: bool(m.requests) and m.requests[-1].sent > 0)
    (request,) = mocks.requests

    await request.until(lambda r: r.sent == len(r.reply))
    assert request.ended_at is None
    writer.close()
    await request.ended()


async def test_words_that_name_nothing_are_refused() -> None:
    """A typo in a model name is a 404 that names the word."""
    arrived = await ask("mock-cutt-5")

    assert arrived.status == 404
    assert b"cutt" in arrived.body


async def test_a_fault_for_some_requests_only(mocks: MockProviders) -> None:
    """`mock-cut-10-times-1-500-1` cuts one reply, refuses the next, then answers."""
    name = "mock-cut-10-times-1-500-1"
    arrived = [await exchange(mocks, chat_request(name)) for _ in range(3)]

    assert [(reply.status, len(reply.body) == 10) for reply in arrived] == [
        (200, True),
        (500, False),
        (200, False),
    ]


async def test_scripted_answers_come_in_order() -> None:
    """A script says one answer a request, the last one for all that follow."""
    answers = (MockAnswer(text=("one",)), MockAnswer(text=("t", "wo"), finish="length"))
    async with mock_providers(scripts={"*": MockScript(answers=answers)}) as mocks:
        bodies = [(await exchange(mocks, chat_request("any"))).body for _ in range(3)]

    assert [text_of(body) for body in bodies] == ["one", "two", "two"]
    assert b'"finish_reason":"length"' in bodies[1]


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/openai/v1/chat/completions", KEY),
        ("/openai/v1/responses", KEY),
        ("/anthropic/v1/messages", {"x-api-key": "sk-x", "anthropic-version": "2023-06-01"}),
        ("/gemini/v1beta/models/mock:generateContent", {"x-goog-api-key": "k"}),
        ("/palm/v1beta2/models/mock:generateText", {"x-goog-api-key": "k"}),
    ],
)
@pytest.mark.parametrize(
    "body",
    [b"{", b"[]", b"{}", b'{"model":"mock","max_tokens":1,"messages":[1],"input":[1],"x":1}'],
    ids=["no-json", "no-object", "nothing", "unknown-field"],
)
async def test_bad_bodies_are_refused(
    mocks: MockProviders, path: str, headers: dict[str, str], body: bytes
) -> None:
    """Every wire refuses what its provider would: 400, with an error in its shape."""
    arrived = await exchange(mocks, post(path, body, headers))

    assert arrived.status == 400
    assert json.loads(arrived.body)["error"]["message"]


async def test_other_paths_are_not_found(mocks: MockProviders) -> None:
    """What no wire has is a 404."""
    assert (await exchange(mocks, post("/v1/nothing", {}, KEY))).status == 404
