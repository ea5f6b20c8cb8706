"""What the handlers share: one object a process, made by `web/app`."""

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from aiohttp import web

from llm_stream.access.access import Access
from llm_stream.cache.answers import AnswerCache
from llm_stream.cache.savings import Price
from llm_stream.config import Settings
from llm_stream.engine.directory import RunDirectory
from llm_stream.engine.load import LoadGuard
from llm_stream.engine.registry import RunRegistry
from llm_stream.history.history import History
from llm_stream.launcher import Launcher
from llm_stream.metrics import Metrics
from llm_stream.models.catalog import ModelCatalog
from llm_stream.models.local import LocalModel
from llm_stream.models.probes import Probes
from llm_stream.models.resilience.upstreams import Upstreams
from llm_stream.recipes.prompts import PromptLibrary
from llm_stream.tracing.observer import Tracing
from llm_stream.web.frames import Drain
from llm_stream.web.hosts import AllowedHosts
from llm_stream.web.idempotency import IdempotencyKeys
from llm_stream.web.intake import Intake
from llm_stream.web.line import Crossing
from llm_stream.web.specmemo import SpecMemo

if TYPE_CHECKING:
    from llm_stream.engine.redislog.replicas import Replicas

GOAWAY_SPREAD_MS: Final = 3000
"""Readers told to go away come back spread over this long, not all at once."""


class Connections:
    """Streaming connections open now, so that a shutdown can let them end."""

    def __init__(self) -> None:
        self._open = 0
        self._none = asyncio.Event()
        self._none.set()

    def __len__(self) -> int:
        return self._open

    def __enter__(self) -> None:
        self._open += 1
        self._none.clear()

    def __exit__(self, *_: object) -> None:
        self._open -= 1
        if not self._open:
            self._none.set()

    async def ended(self) -> None:
        """Return when none is open."""
        await self._none.wait()


class Draining:
    """Whether the service drains; who has to know is told once."""

    def __init__(self) -> None:
        self._begun = False
        self._waiting: dict[Callable[[], None], None] = {}

    def is_set(self) -> bool:
        """Whether it does."""
        return self._begun

    def set(self) -> None:
        """It does, from now on."""
        self._begun = True
        asyncio.get_running_loop().call_soon(self._tell)

    def notify(self, callback: Callable[[], None]) -> None:
        """Call back once, in a later turn of the loop, when it does; it must not raise."""
        self._waiting[callback] = None
        if self._begun:
            asyncio.get_running_loop().call_soon(self._tell)

    def _tell(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for tell in waiting:
            tell()

    def forget(self, callback: Callable[[], None]) -> None:
        """Take a callback back; harmless if it was called, or was never there."""
        self._waiting.pop(callback, None)


@dataclass(slots=True, kw_only=True)
class Service:
    """The parts of a running service.

    `sockets` are WebSockets, `streams` SSE responses, `prices` those of models by id.
    """

    settings: Settings
    catalog: ModelCatalog
    prompts: PromptLibrary
    registry: RunRegistry
    runs: RunDirectory
    replicas: "Replicas | None"
    launcher: Launcher
    cache: AnswerCache
    history: History | None
    intake: Intake
    metrics: Metrics
    upstreams: Upstreams
    probes: Probes
    tracing: Tracing | None
    idempotency: IdempotencyKeys
    hosts: AllowedHosts
    access: Access
    load: LoadGuard
    local: LocalModel | None = None
    prices: Mapping[str, Price] = field(default_factory=dict)
    specs: SpecMemo = field(default_factory=SpecMemo)
    began: float = field(default_factory=time.monotonic)
    draining: Draining = field(default_factory=Draining)
    sockets: Connections = field(default_factory=Connections)
    crossing: Crossing = field(default_factory=Crossing)
    streams: Connections = field(default_factory=Connections)

    @property
    def durable(self) -> bool:
        """Whether what runs say outlives this process, now."""
        return self.replicas is not None and self.replicas.durable

    def goaway(self) -> Drain:
        """What a reader is told at a drain: when to come back, in milliseconds."""
        return {
            "reason": "drain",
            "reconnect_after_ms": random.randrange(500, GOAWAY_SPREAD_MS),  # noqa: S311 - jitter
        }


SERVICE: Final = web.AppKey("service", Service)
REQUEST_ID: Final = web.RequestKey("request_id", str)
