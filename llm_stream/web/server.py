"""The running process: a socket, signals, and a drain that no reader notices."""

import asyncio
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Final

import structlog
from aiohttp import web

from llm_stream import __version__, logs
from llm_stream.config import Settings
from llm_stream.loglines import Lines
from llm_stream.models.adapter import AnyModel
from llm_stream.web.app import create_app
from llm_stream.web.express import EXPRESS
from llm_stream.web.process import list_no_generators, run_in_loop, settle_memory
from llm_stream.web.runner import Runner
from llm_stream.web.service import SERVICE
from llm_stream.web.watch import Watch
from llm_stream.web.workers import fork_workers

READERS_SECONDS: Final = 5.0
"""How long readers have, after the last run has ended, to take its end."""

Announce = Callable[[str, web.Application], None]

log = structlog.get_logger("llm_stream.server")


def listen(
    host: str,
    port: int,
    send_buffer_bytes: int,
    *,
    shared: bool = False,
    silent_seconds: float = 30,
) -> socket.socket:
    """A bound TCP socket; accepted connections inherit its small send buffer.

    With the kernel's own default a client that never reads looks fine for megabytes. Where the
    port is `shared`, other processes may bind it so too, and the kernel spreads connections. On
    Linux a silent connection whose peer does not answer the kernel's probes ends after
    `silent_seconds`, 4 at least.

    Raises:
        OSError: the address is in use or not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer_bytes)
        if sys.platform == "linux":
            # aiohttp switches keep-alive on; with the kernel's own times it means two hours.
            third, sixth = max(1, int(silent_seconds / 3)), max(1, int(silent_seconds / 6))
            bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, third)
            bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, sixth)
            bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    bound.setblocking(False)  # noqa: FBT003 - the standard library's signature
    return bound


async def start(app: web.Application, bound: socket.socket) -> Runner:
    """Serve `app` on the socket; `runner.cleanup()` ends it and closes the socket.

    A handler whose client has left is cancelled at once: handlers only read runs, so this ends
    a reader, never a run (docs/architecture.md, "Leaving").
    """
    metrics = app[SERVICE].metrics
    watch = Watch(app[SERVICE].settings.server, metrics.late_requests, metrics.slow_readers)
    runner = Runner(
        app, watch, app[EXPRESS].answer, handler_cancellation=True, shutdown_timeout=1.0
    )
    await runner.setup()
    runner.listen(bound)
    return runner


async def drain(app: web.Application, stop_at_once: asyncio.Event) -> bool:
    """Refuse new runs, tell readers, let runs and then their readers end.

    Runs have `server.drain_seconds`; what is left is cancelled, so that its readers get an
    end. They have `READERS_SECONDS` to take it. A set `stop_at_once` ends every wait.

    Returns:
        Whether all runs ended by themselves.
    """
    service = app[SERVICE]
    service.draining.set()

    async def leave() -> bool:
        ended = await service.registry.drain(service.settings.server.drain_seconds)
        await service.registry.close()
        try:
            async with asyncio.timeout(READERS_SECONDS):
                await service.streams.ended()
                await service.sockets.ended()
        except TimeoutError:
            log.warning("drain.readers_left", streams=len(service.streams))
        return ended

    leaving = asyncio.create_task(leave())
    stopped = asyncio.create_task(stop_at_once.wait())
    await asyncio.wait((leaving, stopped), return_when=asyncio.FIRST_COMPLETED)
    ended = leaving.done() and leaving.result()
    for task in (leaving, stopped):
        task.cancel()
    await asyncio.gather(leaving, stopped, return_exceptions=True)
    return ended


async def run(
    settings: Settings,
    announce: Announce,
    own_models: Sequence[AnyModel] = (),
    lifeline: int | None = None,
) -> int:
    """Serve until SIGTERM or SIGINT, then drain. A second signal ends the process at once.

    Args:
        settings: the whole configuration.
        announce: called with the address (`http://host:port`) once requests are answered.
        own_models: further `llm` models, scripted ones say.
        lifeline: descriptor of a pipe whose other end closes when the process should drain.

    Returns:
        The exit code: 0 also when runs had to be cancelled at the end of the drain.
    """
    server = settings.server
    bound = listen(
        server.host,
        server.port,
        server.send_buffer_bytes,
        shared=server.workers > 1,
        silent_seconds=server.stall_seconds,
    )
    try:
        app = await create_app(settings, own_models)
        runner = await start(app, bound)
    except BaseException:
        bound.close()
        raise
    asked, again = asyncio.Event(), asyncio.Event()

    def on_signal() -> None:
        (again if asked.is_set() else asked).set()

    def on_parent_gone(lifeline: int) -> None:
        loop.remove_reader(lifeline)
        asked.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    if lifeline is not None:
        loop.add_reader(lifeline, on_parent_gone, lifeline)
    settle_memory()
    list_no_generators()
    host, port = bound.getsockname()[:2]
    announce(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}", app)
    await asked.wait()
    log.info("drain.started", runs=app[SERVICE].registry.live)
    ended = await drain(app, again)
    log.info("drain.ended", all_runs_ended=ended)
    if again.is_set():
        # Threads of blocked sync models would keep a normal exit waiting.
        Lines.write()
        os._exit(0)
    await runner.cleanup()
    return 0


def banner(address: str, app: web.Application) -> None:
    """Tell the person at the terminal where everything is."""
    catalog, roster = app[SERVICE].catalog, app[SERVICE].access.roster
    key = ' -H "Authorization: Bearer $LLM_STREAM_KEY"' if roster.asks_for_keys else ""
    default = catalog.aliases.get("default")
    lines = [
        f"llm-stream {__version__} serves on {address}",
        f"  page     {address}/",
        f"  docs     {address}/docs",
        f"  model    {default or 'none: set models.default'} (default) of {len(catalog)}",
        f"  try      curl -N {address}/v1/generate -H 'Content-Type: application/json'{key} \\",
        """             -H 'Accept: text/event-stream' -d '{"prompt":"Say hello."}'""",
    ]
    if roster.asks_for_keys and not len(roster):
        lines.append("  warning  no client has a key: llm-stream clients add NAME")
    lines += [f"  warning  plugin {fault.name}: {fault.error}" for fault in catalog.faults]
    lines += [
        f"  warning  alias {alias!r} names the unknown model {target!r}"
        for alias, target in catalog.broken_aliases.items()
    ]
    print("\n".join(lines), flush=True)  # noqa: T201 - this is for people, on standard output


def _say_nothing(_address: str, _app: web.Application) -> None:
    """Another worker has told."""


def serve(settings: Settings) -> int:
    """Configure logging, run the service, return the exit code. Blocks.

    With `server.workers` over 1 it does so in as many processes, each of which returns here.
    """
    logging = settings.logging
    logs.configure(logging.level, logging.format, levels=logging.levels)
    announce: Announce = banner
    lifeline = None
    if settings.server.workers > 1:
        # Bound, not listening: it holds the port for the workers, and gets no connection.
        server = settings.server
        held = listen(server.host, server.port, server.send_buffer_bytes, shared=True)
        worker = fork_workers(server.workers)
        port = held.getsockname()[1]
        settings = settings.model_copy(update={"server": server.model_copy(update={"port": port})})
        lifeline = worker.lifeline
        if not worker.speaks:
            announce = _say_nothing
    code = run_in_loop(run(settings, announce, lifeline=lifeline))
    if threading.active_count() > 1:
        # A sync model blocked in a read cannot be interrupted, and the interpreter would wait.
        sys.stdout.flush()
        Lines.write()
        sys.stderr.flush()
        os._exit(code)
    return code
