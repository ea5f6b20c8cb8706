"""One WebSocket with many streams on it, from its welcome until it is lost."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from itertools import count
from typing import Any, Final
from uuid import uuid4

import aiohttp
import orjson

from llm_stream.client.http import Http, unreachable
from llm_stream.client.problems import UnexpectedAnswer, Unreachable, error_of, error_of_status
from llm_stream.client.socketfeed import SocketFeed
from llm_stream.client.wire import End, Gap, Opened
from llm_stream.errors import Forbidden, PayloadTooLarge, StreamError, Unauthenticated

PROTOCOL: Final = "llm-stream.v1"

MAX_MESSAGE_BYTES: Final = 64 * 1_048_576
"""Of one frame that is read; a result is one."""

_CLOSED_FOR: Final = {4401: Unauthenticated, 4403: Forbidden}


class Link:
    """A socket that has said welcome. Made by `connect`; ended by `close`, or lost.

    Attributes:
        token: names it.
        leaving: whether the service wants it to be given up; nothing new is to begin on it.
    """

    def __init__(self, http: Http, socket: aiohttp.ClientWebSocketResponse, limit: int) -> None:
        self.token = uuid4().hex
        self.leaving = False
        self._lost: StreamError | None = None
        self._http = http
        self._socket = socket
        self._limit = limit
        self._ids = count(1)
        self._replies: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._feeds: dict[str, SocketFeed] = {}
        self._away_ms: int | None = None
        self._sending: set[asyncio.Task[None]] = set()
        self._pumping = asyncio.create_task(self._pump(), name="llm-stream-socket")

    @classmethod
    async def connect(cls, http: Http) -> "Link":
        """A new socket.

        Raises:
            StreamError: the service refuses; `Unreachable`.
        """
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(http.connect_seconds):
                    socket = await http.session.ws_connect(
                        f"{http.url}/v1/ws", protocols=[PROTOCOL], max_msg_size=MAX_MESSAGE_BYTES
                    )
                    stack.push_async_callback(socket.close)
                    welcome = await socket.receive_json(loads=orjson.loads)
                limit = welcome["limits"]["message_bytes"]
            except aiohttp.WSServerHandshakeError as error:
                wait = error.headers.get("Retry-After", "") if error.headers else ""
                raise error_of_status(error.status, wait) from error
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise unreachable(http.url, error) from error
            except (TypeError, ValueError, KeyError) as error:
                raise UnexpectedAnswer("What answered is no socket of llm-stream's.") from error
            stack.pop_all()
            return cls(http, socket, limit)

    async def open(self, command: Mapping[str, Any], name: str) -> SocketFeed:
        """Open the stream `name` by a command that names it; see `ask` for errors."""
        feed = self._feeds[name] = SocketFeed(name, self.leave)
        try:
            reply = await self.ask(command)
            if "streams" in reply:
                (reply,) = reply["streams"]
                _check(reply)
        except BaseException:
            self.leave(name)
            raise
        feed.opened = Opened(reply["run"], reply.get("cache", ""), self.token)
        return feed

    @property
    def lost(self) -> bool:
        """Whether it is no more."""
        return self._lost is not None

    @property
    def idle(self) -> bool:
        """Whether nothing is read from it."""
        return not self._feeds

    def name(self) -> str:
        """A name that no stream of this socket has had."""
        return f"s{next(self._ids)}"

    async def ask(self, command: Mapping[str, Any]) -> dict[str, Any]:
        """Send a command; its reply.

        Raises:
            StreamError: the reply's error; PayloadTooLarge; Unreachable: the socket is lost.
        """
        if self._lost is not None:
            raise _again(self._lost)
        name = self.name()
        text = orjson.dumps({**command, "id": name})
        if len(text) > self._limit:
            raise PayloadTooLarge(
                f"The command has {len(text)} bytes, the socket takes {self._limit}. Use SSE."
            )
        reply = self._replies[name] = asyncio.get_running_loop().create_future()
        try:
            await self._send(text)
            return _check(await reply)
        finally:
            del self._replies[name]

    def leave(self, name: str) -> None:
        """Read a stream no more; what still comes of it is dropped."""
        if self._feeds.pop(name, None) is not None and not self.lost:
            text = orjson.dumps({"type": "unsubscribe", "id": self.name(), "stream": name})
            task = asyncio.create_task(self._told(text))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _told(self, text: bytes) -> None:
        try:
            await self._send(text)
        except Unreachable:
            return  # all of its streams have ended with it

    async def _send(self, text: bytes) -> None:
        try:
            await self._socket.send_str(text.decode())
        except (aiohttp.ClientError, OSError) as error:
            raise unreachable(self._http.url, error) from error

    async def close(self) -> None:
        """Close the socket; its streams end as if they were cut."""
        self._pumping.cancel()
        await asyncio.gather(self._pumping, *self._sending, return_exceptions=True)
        await self._socket.close()

    async def _pump(self) -> None:
        error: StreamError = Unreachable("The socket was closed.")
        try:
            while True:
                message = await self._socket.receive(timeout=self._http.silence_seconds)
                if message.type is not aiohttp.WSMsgType.TEXT:
                    break
                self._take(orjson.loads(message.data))
            refusal = _CLOSED_FOR.get(self._socket.close_code or 0)
            if refusal is not None:
                error = refusal("The service has closed the socket: the key holds no more.")
        except (aiohttp.ClientError, TimeoutError, OSError) as failure:
            error = unreachable(self._http.url, failure)
        except orjson.JSONDecodeError:
            error = UnexpectedAnswer("What was said on the socket is not llm-stream's.")
        finally:
            self._lose(error)
            await self._socket.close()

    def _lose(self, error: StreamError) -> None:
        error.retry_after_ms = error.retry_after_ms or self._away_ms
        self._lost = error
        for reply in self._replies.values():
            if not reply.done():
                reply.set_exception(_again(error))
        feeds, self._feeds = self._feeds, {}
        for feed in feeds.values():
            feed.end(_again(error))

    def _take(self, frame: dict[str, Any]) -> None:
        feed = self._feeds.get(frame.get("stream", ""))
        match frame.get("type"):
            case None if feed is not None:
                feed.put(frame["event"])
            case "reply":
                reply = self._replies.get(frame.get("id") or "")
                if reply is not None and not reply.done():
                    reply.set_result(frame)
            case "gap" if feed is not None:
                feed.put(Gap(frame["after"], frame["first"]))
            case "end" if feed is not None:
                del self._feeds[feed.name]
                feed.put(End())
                feed.end(None)
            case "heartbeat":
                for each in self._feeds.values():
                    each.beat()
            case "goaway":
                self.leaving = True
                self._away_ms = frame.get("reconnect_after_ms")


def _again(error: StreamError) -> StreamError:
    """The same error for one more to raise: an instance has one traceback."""
    return type(error)(error.detail, retry_after_ms=error.retry_after_ms)


def _check(reply: dict[str, Any]) -> dict[str, Any]:
    if "error" in reply:
        raise error_of(reply["error"])
    return reply
