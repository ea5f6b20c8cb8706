"""Bare TCP clients that are slow, deaf or rude: what no client library would do."""

import ctypes
import json
import socket
import struct
from typing import Any

SO_ATTACH_FILTER = 26
"""Linux; Python's `socket` does not name it."""

LITTLE_BYTES = 4096
"""What the kernel takes at most for a reader that does not read."""


def connect(
    port: int, *, receive_buffer_bytes: int | None = None, segment_bytes: int | None = None
) -> socket.socket:
    """A blocking connection; a small receive buffer makes a reader that does not read felt.

    With small segments, as on any network but loopback, a slow reader is given room in small steps.
    """
    peer = socket.socket()
    if receive_buffer_bytes is not None:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
    if segment_bytes is not None:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, segment_bytes)
    peer.connect(("127.0.0.1", port))
    return peer


def small_socket(address: tuple[Any, ...]) -> socket.socket:
    """The same for aiohttp, as its `socket_factory`: what is not read soon stops the service."""
    family, kind, protocol, _, _ = address
    peer = socket.socket(family, kind, protocol)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, LITTLE_BYTES)
    return peer


def post(body: object, accept: str = "text/event-stream", path: str = "/v1/generate") -> bytes:
    """A request as bytes."""
    content = json.dumps(body).encode()
    return (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Accept: {accept}\r\nContent-Length: {len(content)}\r\n\r\n"
    ).encode() + content


def deafen(peer: socket.socket) -> None:
    """The kernel drops all that comes for it, unacknowledged: its cable is cut, it knows nothing.

    A socket filter of one instruction, "keep nothing"; it needs no rights. What the peer sends
    itself, an end included, still leaves.
    """
    keep_nothing = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
    program = struct.pack("HL", 1, ctypes.addressof(keep_nothing))
    peer.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)
