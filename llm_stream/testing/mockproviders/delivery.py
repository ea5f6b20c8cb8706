"""One reply on its way: paced, split, stalled and cut to the byte."""

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import replace

from llm_stream.testing.mockproviders.connection import Connection
from llm_stream.testing.mockproviders.faults import MockFault
from llm_stream.testing.mockproviders.record import MockRequest
from llm_stream.testing.mockproviders.replies import Reply, head


async def deliver(
    connection: Connection,
    request: MockRequest,
    reply: Reply,
    fault: MockFault,
    *,
    keep_alive: bool,
) -> bool:
    """Send a distorted reply; whether another request may follow on the connection.

    What arrives before a cut is the beginning of what would have been sent without it, HTTP's
    coding included, unless the cut is to look like an end.

    Raises:
        ClientLeft: before the reply was over.
    """
    if fault.cut_at is not None and fault.how == "end":
        reply = replace(reply, chunks=[*shortened(reply.chunks, fault.cut_at)])
    start = head(reply, unframed=fault.unframed, keep_alive=keep_alive)
    await wait(connection, fault.header_seconds)
    if fault.silent:
        await connection.held(request)
    if fault.cut_head_at is not None:
        await connection.write(start[: fault.cut_head_at])
        return cut(connection, fault)
    await connection.write(start)
    await wait(connection, fault.first_seconds)
    chunked = reply.streams and not fault.unframed
    for number, chunk in enumerate(reply.chunks):
        if number and fault.pace_seconds:
            pause = fault.pace_seconds * (1 + fault.jitter * request.draw.uniform(-1, 1))
            request.pauses.append(pause)
            await wait(connection, pause)
        if number == fault.stall_at:
            await connection.held(request)
        if not await send(connection, request, chunk, fault, chunked=chunked):
            return cut(connection, fault)
        request.chunks += 1
        request.milestones.happened()
    if fault.stall_at is not None and fault.stall_at >= len(reply.chunks):
        await connection.held(request)
    if fault.cut_at is not None and fault.how != "end":
        return cut(connection, fault)
    if chunked:
        await connection.write(b"0\r\n\r\n")
    return keep_alive and not fault.unframed


async def send(
    connection: Connection, request: MockRequest, chunk: bytes, fault: MockFault, *, chunked: bool
) -> bool:
    """Send one chunk, or what comes of it before a cut; False if it was cut."""
    for piece in pieces(chunk, fault.split):
        if is_cut(request, fault, piece):
            rest = piece[: (fault.cut_at or 0) - request.sent]
            await connection.write((size_line(piece) if chunked else b"") + rest)
            request.sent += len(rest)
            return False
        await connection.write(size_line(piece) + piece + b"\r\n" if chunked else piece)
        request.sent += len(piece)
        if fault.split:
            await asyncio.sleep(0)  # so that the piece can arrive alone
    return True


async def wait(connection: Connection, seconds: float) -> None:
    """Wait so long, if at all; see `Connection.pause`."""
    if seconds > 0:
        await connection.pause(seconds)


def cut(connection: Connection, fault: MockFault) -> bool:
    """End the connection as the fault has it. False: nothing can follow."""
    if fault.how == "rst":
        connection.reset()
    else:
        connection.close()
    return False


def is_cut(request: MockRequest, fault: MockFault, piece: bytes) -> bool:
    """Whether the cut falls into this piece."""
    if fault.cut_at is None or fault.how == "end":
        return False
    return request.sent + len(piece) > fault.cut_at


def size_line(piece: bytes) -> bytes:
    """What stands before a piece in HTTP's chunked coding."""
    return f"{len(piece):x}\r\n".encode()


def pieces(chunk: bytes, length: int) -> Iterator[bytes]:
    """A chunk in pieces of so many bytes; 0 = in one."""
    for at in range(0, len(chunk), length or len(chunk)):
        yield chunk[at : at + (length or len(chunk))]


def shortened(chunks: Iterable[bytes], length: int) -> Iterator[bytes]:
    """The first so many bytes of all chunks together."""
    for chunk in chunks:
        if length <= 0:
            return
        yield chunk[:length]
        length -= len(chunk)
