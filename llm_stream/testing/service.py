"""A whole service on a free port of this machine, for tests that speak over real sockets."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from llm_stream.config import Settings
from llm_stream.models.adapter import AnyModel
from llm_stream.web.app import create_app
from llm_stream.web.server import listen, start
from llm_stream.web.service import SERVICE, Service


@dataclass(frozen=True, slots=True)
class RunningService:
    """Where it listens, and its parts."""

    url: str
    port: int
    app: web.Application

    @property
    def parts(self) -> Service:
        """What the handlers share."""
        return self.app[SERVICE]


@asynccontextmanager
async def running_service(
    settings: Settings, models: Sequence[AnyModel] = ()
) -> AsyncIterator[RunningService]:
    """Start a service with these models beside the configured ones; stop it on leaving."""
    server = settings.server
    bound = listen("127.0.0.1", 0, server.send_buffer_bytes, silent_seconds=server.stall_seconds)
    port: int = bound.getsockname()[1]
    app = await create_app(settings, models)
    runner = await start(app, bound)
    try:
        yield RunningService(f"http://127.0.0.1:{port}", port, app)
    finally:
        await runner.cleanup()
