"""The mock providers: what they record, and how each fault looks on the wire."""

import asyncio

import pytest

from llm_stream.testing import MockFault, mock_providers
from llm_stream.testing.mockproviders import MockProviders

from .rawhttp import chat_request, connect, exchange


async def test_equal_requests_get_equal_bytes(mocks: MockProviders) -> None:
    """A reply depends on the request and the seed alone."""
    first, second = [await exchange(mocks, chat_request("mock")) for _ in range(2)]

    assert first.data == second.data
    assert first.body.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize("how", ["fin", "rst"])
async def test_a_cut_is_exact_to_the_byte(mocks: MockProviders, how: str) -> None:
    """Before a cut exactly so many bytes of the body arrive, the beginning of the whole reply."""
    whole = await exchange(mocks, chat_request("mock-words-2"))

    for at in range(len(whole.body)):
        name = f"mock-words-2-cut-{at}" + ("-rst" if how == "rst" else "")
        arrived = await exchange(mocks, chat_request(name))
        reply = mocks.requests[-1].reply

        assert (arrived.end, arrived.body) == (how, reply[:at])
        assert mocks.requests[-1].sent == at


async def test_a_cut_can_look_like_an_end(mocks: MockProviders) -> None:
    """With `end`, HTTP says that all was sent, and only the content is short."""
    arrived = await exchange(mocks, chat_request("mock-cut-100-end"))

    assert arrived.raw_body.endswith(b"\r\n0\r\n\r\n")
    assert arrived.body == mocks.requests[-1].reply[:100]


async def test_without_framing_a_cut_is_an_end(mocks: MockProviders) -> None:
    """With `unframed`, nothing in HTTP tells how long the body is."""
    arrived = await exchange(mocks, chat_request("mock-cut-100-unframed"))

    assert not {"transfer-encoding", "content-length"} & arrived.head.keys()
    assert (arrived.end, len(arrived.raw_body)) == ("fin", 100)


@pytest.mark.parametrize(("name", "end"), [("mock-drop", "fin"), ("mock-drop-rst", "rst")])
async def test_a_dropped_request_gets_no_byte(mocks: MockProviders, name: str, end: str) -> None:
    """The request is read, then the connection ends."""
    arrived = await exchange(mocks, chat_request(name))

    assert (arrived.data, arrived.end) == (b"", end)
    assert mocks.requests[-1].model == name


async def test_a_client_that_leaves_a_stall_is_recorded(mocks: MockProviders) -> None:
    """A stalled reply ends when its client closes, and the record says when and how."""
    _reader, writer = await connect(mocks)
    writer.write(chat_request("mock-stall-3"))
    await mocks.until(lambda m: bool(m.requests))
    (request,) = mocks.requests
    await request.until(lambda r: r.chunks == 3)
    assert request.closed_at is None

    writer.close()
    await request.ended()

    assert request.left in {"fin", "rst"}  # the kernel resets if bytes were left unread
    assert request.closed_at is not None
    assert request.closed_at <= asyncio.get_running_loop().time()


async def test_a_stalled_reply_can_be_resumed(mocks: MockProviders) -> None:
    """A test decides when a stall is over; the reply is whole then."""
    asked = asyncio.create_task(exchange(mocks, chat_request("mock-stall-3")))
    await mocks.until(lambda m: bool(m.requests) and m.requests[-1].chunks == 3)

    mocks.requests[-1].resume()

    assert (await asked).body == mocks.requests[-1].reply


async def test_status_first_then_well(mocks: MockProviders) -> None:
    """`mock-429-2-after-7` refuses two requests with Retry-After, then answers."""
    name = "mock-429-2-after-7"
    arrived = [await exchange(mocks, chat_request(name)) for _ in range(3)]

    assert [reply.status for reply in arrived] == [429, 429, 200]
    assert [reply.head.get("retry-after") for reply in arrived] == ["7", "7", None]
    assert b'"type":"rate_limit_error"' in arrived[0].body


async def test_faults_by_name_in_python() -> None:
    """A test gives any model name its faults, one after another."""
    faults = {"gpt-x": [MockFault(status=500, times=1), MockFault(cut_at=10)]}
    async with mock_providers(faults=faults) as mocks:
        arrived = [await exchange(mocks, chat_request("gpt-x")) for _ in range(3)]

    assert [(reply.status, len(reply.body)) for reply in arrived[1:]] == [(200, 10)] * 2
    assert arrived[0].status == 500


async def test_refused_connections(mocks: MockProviders) -> None:
    """While the mocks refuse, nobody gets a connection; afterwards the port is the same."""
    port = mocks.port
    await mocks.refuse()
    with pytest.raises(ConnectionRefusedError):
        await connect(mocks)

    await mocks.accept()

    assert mocks.port == port
    assert (await exchange(mocks, chat_request("mock"))).status == 200


async def test_keys_are_not_recorded(mocks: MockProviders) -> None:
    """A record shows the last four characters of a key, to tell keys apart."""
    await exchange(mocks, chat_request("mock"))

    assert mocks.requests[-1].headers["authorization"] == "Bearer ***ijkl"


async def test_an_address_that_refuses(mocks: MockProviders) -> None:
    """Beside the mocks there is a port where nobody listens."""
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", int(mocks.refused_url.rpartition(":")[2]))


async def test_connections_are_kept_and_counted(mocks: MockProviders) -> None:
    """A client that keeps its connection needs one for all its requests, well or refused."""
    reader, writer = await connect(mocks)
    request = chat_request("mock-429-1").replace(b"connection: close", b"x: y")
    for _ in range(3):
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if b"content-length" in head:
            await reader.readexactly(int(head.partition(b"content-length: ")[2].split(b"\r\n")[0]))
        else:
            await reader.readuntil(b"\r\n0\r\n\r\n")
    writer.close()

    assert [record.connection for record in mocks.requests] == [1, 1, 1]
    assert mocks.connections == 1


async def test_forgetting_begins_anew(mocks: MockProviders) -> None:
    """After `forget` the first request is the first again."""
    first = await exchange(mocks, chat_request("mock-500-1"))
    mocks.forget()
    second = await exchange(mocks, chat_request("mock-500-1"))

    assert (first.status, second.status, len(mocks.requests)) == (500, 500, 1)
