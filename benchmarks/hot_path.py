"""How many functions are called for a token, a run and a frame: a guard that needs no clock.

    python benchmarks/hot_path.py [--only NAME] [--repeat 1] [--check] [--write] [--top 15]

The whole service answers over transports that hold bytes and no sockets: what an upstream of
OpenAI's kind sends goes through client, wire, adapter, recipe, log and framing to what a client is
sent. Counted are calls of functions, Python's and C's, in the main thread (`sys.setprofile`), which
are the same each time: time is the loop's own and moves with its turns. The count of one piece is
that of twice as many pieces, less that of as many, so what a run or a connection costs by itself
falls out. The history is off, for its threads have a time of their own.

`--check` ends with 1 where a count is over its limit: what stands in `hot_path.json`, times 1.3;
and where a token does what it never should, however little of it is seen here (`NEVER`).
`--write` writes the counts of today there.
"""

import argparse
import asyncio
import base64
import gc
import io
import json
import re
import selectors
import sys
import threading
from asyncio import base_events, events, selector_events
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final, NamedTuple, cast

from llm_stream import logs
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
from llm_stream.web.runner import Runner
from llm_stream.web.service import SERVICE
from llm_stream.web.watch import Watch

KEPT: Final = Path(__file__).with_suffix(".json")
MARGIN: Final = 1.3
TRIES: Final = 3
"""Of so many counts the least is taken."""

TURN_SECONDS: Final = 0.0021
"""How far time moves with each turn of the loop: so slow that no write waits for the next."""

UNCOUNTED: Final = frozenset(
    {
        __file__,
        *(
            module.__file__
            for module in (base_events, events, selector_events, selectors, threading)
        ),
    }
)
"""Whose own calls are not counted, calls of theirs are: the loop is another one in a service."""

NEVER: Final = re.compile(
    r"structlog/|logging/|pydantic|SchemaValidator|SchemaSerializer|TypeAdapter"
    r"|create_task|ensure_future|call_later|call_at|\bTimeout\b|MetricWrapperBase\.labels"
)
"""Functions that have no place in a token: logs, validation, tasks, timers, look-ups of metrics."""

Calls = Counter[str]
Part = Callable[[int], Coroutine[Any, Any, None]]


class Wire(asyncio.Transport):
    """Bytes for one protocol of this process, and what it answers.

    Args:
        protocol: at this end.
        took: is given what it writes.
    """

    def __init__(self, protocol: asyncio.Protocol, took: Callable[[bytes], None]) -> None:
        super().__init__()
        self.protocol = protocol
        self._took = took
        self._closing = False
        protocol.connection_made(self)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """It has said something."""
        self._took(bytes(data))

    def is_closing(self) -> bool:
        """Whether it has closed."""
        return self._closing

    def close(self) -> None:
        """It wants no more."""
        if not self._closing:
            self._closing = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    abort = close

    def get_write_buffer_size(self) -> int:
        """All is taken at once."""
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """There is nothing to limit."""

    def pause_reading(self) -> None:
        """What has been sent comes all the same."""

    def resume_reading(self) -> None:
        """It never paused."""

    def is_reading(self) -> bool:
        """It always does."""
        return True


class Upstream:
    """Answers of OpenAI's kind, as the name of the model says: `burst-200`, `each-200`."""

    HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nTransfer-Encoding: chunked\r\n\r\n"
    ASKED = re.compile(rb'"model":"(burst|each)-(\d+)"')

    def __init__(self, protocol: asyncio.Protocol) -> None:
        self._data = b""
        self._waiting: Iterator[bytes] = iter(())
        self.wire = Wire(protocol, self._asked)

    def _asked(self, data: bytes) -> None:
        self._data += data
        if (found := self.ASKED.search(self._data)) is None:
            return
        kind, tokens = found[1], int(found[2])
        self._data = b""
        said = [chunk({"content": " lorem"})] * tokens
        usage = {"prompt_tokens": 9, "completion_tokens": tokens, "total_tokens": 9 + tokens}
        said += [chunk({}, "stop"), chunk({}, choices=[], usage=usage), b"data: [DONE]\n\n"]
        step = 1 if kind == b"each" else 16
        blocks = [b"".join(said[at : at + step]) for at in range(0, len(said), step)]
        framed = [b"%x\r\n%b\r\n" % (len(block), block) for block in blocks]
        self._waiting = iter([self.HEAD % b"text/event-stream", *framed, b"0\r\n\r\n"])
        asyncio.get_running_loop().call_soon(self._next, kind == b"each")

    def _next(self, one: bool) -> None:  # noqa: FBT001 - a callback of the loop's
        for block in self._waiting:
            self.wire.protocol.data_received(block)
            if one:
                asyncio.get_running_loop().call_soon(self._next, one)
                return


def chunk(delta: dict[str, str], finish: str | None = None, **more: Any) -> bytes:
    """One `chat.completion.chunk` as an event."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    said = {
        "id": "chatcmpl-AbCdEfGhIjKlMnOpQrStUvWxYz012", "object": "chat.completion.chunk",
        "created": 1764028800, "model": "gpt-4o-2024-08-06", "choices": [choice], **more,
    }  # fmt: skip
    return b"data: %b\n\n" % json.dumps(said, separators=(",", ":")).encode()


class Loop(asyncio.SelectorEventLoop):
    """A loop whose connections lead to `Upstream`, and whose time moves with its turns.

    Attributes:
        steady: whether it does; else time is everybody's, as while the service starts.
    """

    def __init__(self) -> None:
        self.steady = False
        self._now = 0.0
        super().__init__(Impatient(self))

    def time(self) -> float:
        """Seconds."""
        return self._now if self.steady else super().time()

    def settle(self) -> None:
        """From here on time is the loop's own."""
        self._now = super().time()
        self.steady = True

    def turned(self, seconds: float) -> None:
        """A turn is over, in which nothing happened for so long."""
        self._now += TURN_SECONDS + seconds

    async def sock_connect(self, sock: Any, address: Any) -> None:
        """Nobody is asked."""

    async def create_connection(  # type: ignore[override]
        self, protocol_factory: Callable[[], asyncio.Protocol], *_: Any, sock: Any = None, **__: Any
    ) -> tuple[asyncio.Transport, asyncio.Protocol]:
        """A connection to the upstream of this process."""
        if sock is not None:
            sock.close()
        protocol = protocol_factory()
        return Upstream(protocol).wire, protocol


class Impatient(selectors.SelectSelector):
    """Waits for nothing but the start: with a steady loop the next timer is due at once."""

    def __init__(self, loop: Loop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        """See `selectors`."""
        if not self._loop.steady:
            return super().select(timeout)
        self._loop.turned(timeout or 0.0)
        return super().select(0)


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


class Parts:
    """What is counted, each for so many pieces."""

    def __init__(self, service: Service, questions: Questions) -> None:
        self._service = service
        self._questions = questions

    def named(self) -> dict[str, tuple[Part, int]]:
        """By name: what to do, and for how many pieces at the least."""
        return {
            "a token, by SSE, one upstream send a token": (self.tokens("each"), 50),
            "a token, by SSE, in bursts": (self.tokens("burst"), 160),
            "a token, by WebSocket, one upstream send a token": (self.frames("each"), 50),
            "a token, by WebSocket, in bursts": (self.frames("burst"), 160),
            "a token of 20 runs on one WebSocket": (self.crowd, 5 * 20),
            "a run of 16 tokens, JSON": (self.calls, 5),
            "a run of 16 tokens, SSE": (self.streams, 5),
            "a run of 16 tokens, WebSocket": (self.starts, 5),
            "a cached JSON answer": (self.cached, 10),
        }

    def tokens(self, kind: str) -> Part:
        """Tokens of one run, read by SSE."""

        async def part(count: int) -> None:
            asked = self._questions.post(f"{kind}-{count}", "text/event-stream")
            await Client(self._service).ask(asked, b"0\r\n\r\n")

        return part

    def frames(self, kind: str) -> Part:
        """Tokens of one run, read from a socket."""

        async def part(count: int) -> None:
            await self._on_socket(f"{kind}-{count}", 1)

        return part

    async def crowd(self, count: int) -> None:
        """Tokens of twenty runs that share a socket."""
        await self._on_socket(f"each-{count // 20}", 20)

    async def starts(self, count: int) -> None:
        """Runs on one socket, one after the other."""
        client = Client(self._service)
        await client.ask(UPGRADE, b'"welcome"')
        for number in range(count):
            await client.ask(self._start("burst-16", number), b'"type":"end"')
        client.wire.protocol.connection_lost(None)

    async def _on_socket(self, model: str, runs: int) -> None:
        client = Client(self._service)
        await client.ask(UPGRADE, b'"welcome"')
        commands = b"".join([self._start(model, number) for number in range(runs)])
        await client.ask(commands, b'"type":"end"', runs)
        client.wire.protocol.connection_lost(None)

    def _start(self, model: str, number: int) -> bytes:
        asked = self._questions.asked(model)
        return masked({"type": "start", "id": f"{number:03}", "recipe": "generate", "input": asked})

    async def calls(self, count: int) -> None:
        """Short answers as JSON, on one connection."""
        client = Client(self._service)
        for _ in range(count):
            asked = self._questions.post("burst-16", "application/json")
            await client.ask(asked, b'"usage"')

    async def streams(self, count: int) -> None:
        """Short streams, on one connection."""
        client = Client(self._service)
        for _ in range(count):
            asked = self._questions.post("burst-16", "text/event-stream")
            await client.ask(asked, b"0\r\n\r\n")

    async def cached(self, count: int) -> None:
        """The same answer again and again."""
        client = Client(self._service)
        body = {"prompt": "the same", "model": "fake/burst-16"}
        for _ in range(count):
            await client.ask(request(body, "application/json"), b'"usage"')


class Counted(NamedTuple):
    """What was counted of one thing.

    Attributes:
        each: calls a piece.
        calls: by function, of all pieces.
        pieces: how many they were.
    """

    each: float
    calls: Calls
    pieces: int

    def faults(self, name: str, limit: float, top: int) -> Iterator[str]:
        """What is wrong with it, and what to do about it."""
        if self.each > limit:
            yield f"{name}: {self.each:g} calls, over the limit of {limit:g}. Most of them:"
            for function, calls in self.calls.most_common(top):
                yield f"  {calls / self.pieces:7.2f}  {function}"
        if name.startswith("a token"):
            for function, calls in self.calls.items():
                if calls >= self.pieces / 4 and NEVER.search(function):
                    yield f"{name}: {calls / self.pieces:g} calls of {function}, of which is none"


@contextmanager
def counting() -> Iterator[Calls]:
    """Count calls by function, without those of this module."""
    found: Counter[tuple[CodeType | object, bool]] = Counter()
    named = Calls()

    def look(frame: FrameType, event: str, argument: Any) -> None:
        code = frame.f_code
        if event == "c_call":
            if code.co_filename not in UNCOUNTED:
                found[getattr(argument, "__qualname__", "?"), False] += 1
        elif event == "call" and code.co_filename != __file__:
            caller = frame.f_back
            inside = code.co_filename in UNCOUNTED
            if not inside or caller is None or caller.f_code.co_filename not in UNCOUNTED:
                found[code, True] += 1

    sys.setprofile(look)
    try:
        yield named
    finally:
        sys.setprofile(None)
        for (what, python), count in found.items():
            named[_name(what) if python else f"{what} (C)"] += count


def _name(code: Any) -> str:
    return f"{code.co_qualname} ({'/'.join(Path(code.co_filename).parts[-2:])})"


async def rest(turns: int = 30) -> None:
    """Let what is still under way end."""
    for _ in range(turns):
        await asyncio.sleep(0)


async def count(part: Part, pieces: int) -> Calls:
    """The calls that each of so many pieces costs, times their number."""

    async def calls(number: int) -> Calls:
        with counting() as counted:
            await part(number)
            await rest()
        return counted

    for number in (pieces, 2 * pieces):  # what is made once is there
        await part(number)
    await rest()
    # What happens now and then - a second is over, a file is looked at again - only adds.
    few, many = [
        min([await calls(number) for _ in range(TRIES)], key=Calls.total)
        for number in (pieces, 2 * pieces)
    ]
    many.subtract(few)
    return many


async def measure(only: str, repeat: int) -> list[dict[str, Counted]]:
    """What is counted, by name; so many times."""
    loop = cast("Loop", asyncio.get_running_loop())
    service, questions = Service(), Questions()
    await service.start()
    loop.settle()
    gc.disable()  # what it collects calls functions as well
    try:
        rounds: list[dict[str, Counted]] = []
        for _ in range(repeat):
            rounds.append({})
            for name, (part, pieces) in Parts(service, questions).named().items():
                if only in name:
                    found = await count(part, pieces)
                    each = round(found.total() / pieces, 2)
                    rounds[-1][name] = Counted(each, found, pieces)
        return rounds
    finally:
        gc.enable()
        loop.steady = False
        await service.close()


ADVICE: Final = f"""
Take out of the hot path what was added there: no logging, validation, task, timer or look-up of a
metric for a token (docs/performance.md, Guard). What has to be there has its reason in the commit;
then set the limits anew: python benchmarks/{Path(__file__).name} --write"""


def main() -> None:
    """Count, print, check or write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="", help="what has this in its name")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--check", action="store_true", help="exit 1 when over a limit")
    parser.add_argument("--write", action="store_true", help=f"write {KEPT.name}")
    parser.add_argument("--top", type=int, default=15, help="functions that are named")
    options = parser.parse_args()
    logs.configure("info", "json", io.StringIO())
    with asyncio.Runner(loop_factory=Loop) as runner:
        rounds = runner.run(measure(options.only, options.repeat))
    kept = json.loads(KEPT.read_text("utf-8")) if KEPT.exists() else {}
    print(f"{'calls of functions for':50} {'now':>{9 * len(rounds)}} {'limit':>9}")
    faults: list[str] = []
    for name, counted in rounds[-1].items():
        limit = round(kept.get(name, 0.0) * MARGIN, 2)
        now = "".join(f" {each[name].each:8.2f}" for each in rounds)
        print(f"{name:50} {now} {limit:9.2f}")
        faults += counted.faults(name, limit, options.top)
    if options.write:
        kept |= {name: counted.each for name, counted in rounds[-1].items()}
        KEPT.write_text(json.dumps(kept, indent=2) + "\n")
    elif options.check and faults:
        sys.exit("\n".join(["", *faults, ADVICE]))


if __name__ == "__main__":
    main()
