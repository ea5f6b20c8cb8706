"""The service without a socket, and its clients."""

import asyncio
import base64
import json
from typing import Any, Final

from benchmarks.hot_path.transports import Wire
from llm_stream.config import (
    HistorySection,
    LimitsSection,
    LocalSection,
    ModelsSection,
    ProviderSection,
    Settings,
    TelemetrySection,
)
from llm_stream.web.app import create_app
from llm_stream.web.connection import Connection
from llm_stream.web.express import EXPRESS
from llm_stream.web.process import list_no_generators
from llm_stream.web.runner import Runner
from llm_stream.web.service import SERVICE
from llm_stream.web.watch import Watch


class Client:
    """A client that writes bytes to the service and waits for the last ones of an answer."""

    def __init__(self, service: "Service") -> None:
        self._end = b""
        self._left = 0
        self._done: asyncio.Future[None] | None = None
        self._connection = service.connection()
        self.wire = Wire(self._connection, self._took)

    async def ask(self, data: bytes, end: bytes, times: int = 1) -> None:
        """Send bytes; return when these others have come so many times."""
        self._end, self._left = end, times
        self._done = asyncio.get_running_loop().create_future()
        self._connection.data_received(data)
        await self._done

    def _took(self, data: bytes) -> None:
        if self._done is not None and self._end in data:
            self._left -= data.count(self._end)
            if self._left <= 0 and not self._done.done():
                self._done.set_result(None)


class Service:
    """The service without a socket."""

    async def start(self) -> None:
        """Make it as it is configured by default, but for the history."""
        self.app = await create_app(
            Settings(
                models=ModelsSection(default="fake/burst-16", plugins=(), aliases={}),
                telemetry=TelemetrySection(loop_lag_seconds=1e6),
                local=LocalSection(enabled=False),
                history=HistorySection(enabled=False),
                limits=LimitsSection(
                    late_seconds=0, connection_streams=1000, connection_concurrent_runs=1000
                ),
                providers={
                    "fake": ProviderSection(
                        kind="openai", base_url="http://127.0.0.1:9/v1", api_key_env=()
                    )
                },
            ),
            (),
        )
        metrics = self.app[SERVICE].metrics
        server = self.app[SERVICE].settings.server
        self._watch = Watch(server, metrics.late_requests, metrics.slow_readers)
        express = self.app[EXPRESS].answer
        self._runner = Runner(self.app, self._watch, express, handler_cancellation=True)
        await self._runner.setup()
        list_no_generators()
        # What looks after the service now and then would be counted now and then.
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    def connection(self) -> Connection:
        """The service's end of a new connection."""
        server = self._runner.server
        if server is None:
            raise RuntimeError("It has not started.")
        return Connection(server, self._watch, self.app[EXPRESS].answer)

    async def close(self) -> None:
        """End it."""
        await self._runner.cleanup()


class Questions:
    """Requests, each of which is new: nothing is answered by the cache unless that is meant."""

    def __init__(self) -> None:
        self._count = 0

    def asked(self, model: str) -> dict[str, str]:
        """A body."""
        self._count += 1
        return {"prompt": f"question {self._count:06}", "model": f"fake/{model}"}

    def post(self, model: str, accept: str) -> bytes:
        """A request over HTTP."""
        return request(self.asked(model), accept)


def request(body: dict[str, str], accept: str) -> bytes:
    """A request over HTTP, on a connection that is kept."""
    content = json.dumps(body).encode()
    head = (
        "POST /v1/generate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Accept: {accept}\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


UPGRADE: Final = (
    b"GET /v1/ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %b\r\n\r\n" % base64.b64encode(bytes(16))
)


def masked(command: dict[str, Any]) -> bytes:
    """A client's frame."""
    text = json.dumps(command).encode()
    return b"\x81\xfe" + len(text).to_bytes(2, "big") + bytes(4) + text
