"""Frames of a WebSocket as bytes (RFC 6455, 5.2), as wrong as asked for."""

UPGRADE = (
    b"GET /v1/ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
TEXT, BINARY, CLOSE, PING, PONG = 0x81, 0x82, 0x88, 0x89, 0x8A
BEGIN, MORE, END = 0x01, 0x00, 0x80
"""Of a text in pieces."""

MASK = bytes(4)
"""Zeros change nothing."""


def frame(
    first: int, payload: bytes = b"", *, mask: bytes = MASK, declared: int | None = None
) -> bytes:
    """A client's frame.

    Args:
        first: its first byte: TEXT, BEGIN, ...
        payload: is masked.
        mask: four bytes; b"": the frame is not masked, as a client's has to be.
        declared: a length that is not the payload's.
    """
    size = len(payload) if declared is None else declared
    flag = 0x80 if mask else 0
    if size < 126:
        head = bytes([first, flag | size])
    elif size < 65_536:
        head = bytes([first, flag | 126]) + size.to_bytes(2, "big")
    else:
        head = bytes([first, flag | 127]) + size.to_bytes(8, "big")
    if mask and any(mask):
        payload = bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))
    return head + mask + payload


def frames_in(data: bytes) -> list[tuple[int, bytes]]:
    """First byte and payload of each frame that a server has sent; what is not whole is left out.

    None of them has 65,536 bytes or more.
    """
    found, at = [], 0
    while at + 2 <= len(data):
        size, begin = data[at + 1], at + 2
        if size == 126:
            size, begin = int.from_bytes(data[begin : begin + 2], "big"), begin + 2
        found.append((data[at], data[begin : begin + size]))
        at = begin + size
    return found
