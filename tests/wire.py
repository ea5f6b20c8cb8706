"""Clients the tests read the wires with: as plain as can be, so that they hide nothing."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Self

import aiohttp

from llm_stream.engine.run import Run
from llm_stream.testing import ScriptedModel
from llm_stream.testing.service import RunningService

JSON = {"Content-Type": "application/json"}
SSE = {"Accept": "text/event-stream"}


@dataclass
class SseEvent:
    """One event as a browser would see it."""

    id: str | None
    event: str | None
    data: bytes

    @property
    def payload(self) -> dict[str, Any]:
        """The decoded data."""
        value: dict[str, Any] = json.loads(self.data)
        return value


async def sse_events(response: aiohttp.ClientResponse) -> AsyncIterator[SseEvent]:
    """Events of a response, strictly by the grammar; comments are skipped."""
    buffer = b""
    async for chunk in response.content.iter_any():
        buffer += chunk
        while b"\n\n" in buffer:
            block, buffer = buffer.split(b"\n\n", 1)
            event = SseEvent(None, None, b"")
            lines = [line for line in block.split(b"\n") if not line.startswith(b":")]
            if not lines:
                continue
            for line in lines:
                name, _, value = line.partition(b": ")
                if name == b"id":
                    event.id = value.decode()
                elif name == b"event":
                    event.event = value.decode()
                elif name == b"data":
                    event.data = value
                else:
                    raise AssertionError(f"not a line of this protocol: {line!r}")
            yield event
    assert not buffer, f"the stream ended inside an event: {buffer!r}"


class WsClient:
    """A socket whose frames are sorted: replies by id, events by stream."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.ws = ws
        self.replies: dict[str | None, dict[str, Any]] = {}
        self.events: dict[str, list[bytes]] = {}
        self.ended: set[str] = set()
        self.others: list[dict[str, Any]] = []

    @classmethod
    async def connect(cls, http: aiohttp.ClientSession, url: str, **kwargs: Any) -> Self:
        """Open a socket and read its welcome."""
        client = cls(await http.ws_connect(f"{url}/v1/ws", max_msg_size=0, **kwargs))
        await client.until(lambda: client.others)
        assert client.others[0]["type"] == "welcome"
        return client

    async def send(self, **frame: Any) -> None:
        """Send one frame."""
        await self.ws.send_json(frame)

    async def step(self) -> dict[str, Any]:
        """Read and sort one frame."""
        message = await self.ws.receive()
        if message.type is not aiohttp.WSMsgType.TEXT:
            raise ConnectionError(f"closed: {self.ws.close_code}")
        frame: dict[str, Any] = json.loads(message.data)
        if "event" in frame:
            name = json.dumps(frame["stream"], ensure_ascii=False)
            head = f'{{"stream":{name},"event":'
            assert message.data.startswith(head)
            self.events.setdefault(frame["stream"], []).append(
                message.data[len(head) : -1].encode()
            )
        elif frame["type"] == "reply" or frame["type"] == "pong":
            assert frame["id"] not in self.replies or frame["id"] is None
            self.replies[frame["id"]] = frame
        elif frame["type"] == "end":
            self.ended.add(frame["stream"])
        else:
            self.others.append(frame)
        return frame

    async def until(self, condition: Any) -> None:
        """Read frames until the condition holds."""
        while not condition():
            await self.step()

    async def ask(self, **frame: Any) -> dict[str, Any]:
        """Send a command and return its reply."""
        await self.send(**frame)
        await self.until(lambda: frame["id"] in self.replies)
        return self.replies[frame["id"]]

    async def end_of(self, stream: str) -> list[bytes]:
        """All events of a stream, once it has ended."""
        await self.until(lambda: stream in self.ended)
        return self.events.get(stream, [])


async def start_async(
    http: aiohttp.ClientSession, url: str, **body: Any
) -> tuple[str, dict[str, Any]]:
    """Start a run with `Prefer: respond-async`; its id and the reply."""
    async with http.post(
        f"{url}/v1/generate", json=body, headers={"Prefer": "respond-async"}
    ) as response:
        value = await response.json()
        assert response.status == 202, value
        return value["id"], value


async def follow(
    http: aiohttp.ClientSession, url: str, run: str, after: str = "0"
) -> list[SseEvent]:
    """Every logged event of a run behind a cursor, to its end."""
    async with http.get(
        f"{url}/v1/runs/{run}/events", params={"after": after}, headers=SSE
    ) as response:
        if response.status == 204:
            return []
        assert response.status == 200, await response.text()
        return [event async for event in sse_events(response) if event.event is None]


async def in_pieces(
    http: aiohttp.ClientSession, urls: Iterable[str], run: str, size: int
) -> tuple[list[bytes], int]:
    """A run's events by a reader whose connection is cut after every few, and how often it was.

    It resumes behind the last one at the next of the services.
    """
    pieces: list[bytes] = []
    after, drops = "0", 0
    for url in urls:
        async with http.get(
            f"{url}/v1/runs/{run}/events", params={"after": after}, headers=SSE
        ) as response:
            if response.status == 204:
                break
            left = size
            async for event in sse_events(response):
                pieces.append(event.data)
                after = event.id or after
                left -= 1
                if not left:
                    response.close()
                    drops += 1
                    break
    return pieces, drops


async def turns(count: int = 5) -> None:
    """Let the loop turn."""
    for _ in range(count):
        await asyncio.sleep(0)


async def speaking(model: ScriptedModel) -> None:
    """Wait until the model's first call has said something."""
    await until(lambda: model.calls and model.calls[0].said)


async def until(condition: Callable[[], object]) -> None:
    """Let the loop turn until this holds: for what no event of this process tells.

    Another process, even if it is what the loop waits for, is to be awaited by its own signs.
    """
    while not condition():
        await asyncio.sleep(0)


async def shared(service: RunningService) -> None:
    """Wait until Redis has all that the service's runs have said."""
    replicas = service.parts.replicas
    assert replicas is not None
    while replicas.mirror.behind or not replicas.durable:
        await replicas.mirror.catch_up()


async def reached(run: Run, events: int) -> None:
    """Wait until the run's log holds so many events, or has ended."""
    with run.subscribe("now") as reader:
        while len(run.log) < events and not run.done:
            reader.take()
            await reader.more()


async def ended(run: Run) -> None:
    """Wait until the run's task is done and its terminal event written."""
    assert run.task is not None
    await asyncio.wait((run.task,))
