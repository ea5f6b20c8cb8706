"""A real service on a real socket, with scripted models, no network and no keys."""

import asyncio
import io
import json
import logging
import signal
from asyncio import AbstractEventLoop
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import hypothesis
import pytest
import structlog

from llm_stream import logs
from llm_stream.config import Settings
from llm_stream.testing import ScriptedModel
from llm_stream.testing.mockproviders import MockProviders, mock_providers
from llm_stream.testing.service import RunningService, running_service
from llm_stream.web.process import new_event_loop

from .redisserver import RedisServer

REDIS_CALLERS = ("llm_stream.engine.redislog.link", "llm_stream.cache.redisshelf")
PATIENT_SECONDS = 5.0

# A shell has its background jobs ignore Ctrl-C, which processes inherit; those of tests end by it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# How long a case takes says how busy the machine is.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

StartService = Callable[..., Awaitable[RunningService]]
ConfigureLogs = Callable[..., Callable[[], list[dict[str, Any]]]]


def settings(**sections: dict[str, Any]) -> Settings:
    """A configuration without plugins, embedded model, history, files: `server={...}`, ..."""
    # What else the machine does must not make a service refuse.
    patient = {"late_seconds": 0, **sections.get("limits", {})}
    scripted = {"default": "scripted", "plugins": (), "aliases": {"fast": "scripted"}}
    chosen = {
        **sections,
        "limits": patient,
        "models": {**scripted, **sections.get("models", {})},
        "local": {"enabled": False},
        "history": {"enabled": False, **sections.get("history", {})},
    }
    return Settings.model_construct(
        **{
            name: (field.annotation or Any)(**chosen.get(name, {}))
            for name, field in Settings.model_fields.items()
        }
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long begins first, or it would be what is waited for at the end."""
    items.sort(key=lambda item: item.get_closest_marker("real_model") is None)


def pytest_asyncio_loop_factories(item: pytest.Item) -> dict[str, Callable[[], AbstractEventLoop]]:
    """Tests run on the event loop that the service runs on, unless they are marked."""
    if item.get_closest_marker("asyncio_loop"):
        return {"asyncio": asyncio.new_event_loop}
    return {"service": new_event_loop}


@pytest.fixture(autouse=True)
def own_llm_folder(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No test writes into the folder of whoever runs it, nor finds what another has written."""
    folder = tmp_path_factory.getbasetemp() / f"llm-{uuid4().hex}"
    monkeypatch.setenv("LLM_USER_PATH", str(folder))


@pytest.fixture
def configure() -> Iterator[ConfigureLogs]:
    """Sets logging up as `logs.configure` does; what is logged as JSON then, newest last."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    named: list[str] = []

    def set_up(level: str = "info", **options: Any) -> Callable[[], list[dict[str, Any]]]:
        stream = io.StringIO()
        named.extend(options.get("levels", {}))
        logs.configure(level, "json", stream, **options)
        return lambda: [json.loads(line) for line in stream.getvalue().splitlines()]

    yield set_up
    root.handlers[:] = before
    root.setLevel(level)
    for name in named:
        logging.getLogger(name).setLevel(logging.NOTSET)
    structlog.reset_defaults()


@pytest.fixture
def lines(configure: ConfigureLogs) -> Callable[[], list[dict[str, Any]]]:
    """What is logged from "info" on."""
    return configure()


@pytest.fixture(autouse=True)
def patient_with_redis(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What else the machine does must not make Redis look dead, unless a test is about that."""
    if not request.node.get_closest_marker("redis_limit"):
        for module in REDIS_CALLERS:
            monkeypatch.setattr(f"{module}.CALL_SECONDS", PATIENT_SECONDS)


@pytest.fixture(autouse=True)
def patient_with_the_history(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks for the account waits for what has just ended, however late its writer is."""
    monkeypatch.setattr("llm_stream.history.history.SETTLE_SECONDS", PATIENT_SECONDS)


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A real Redis of its own, empty."""
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.kill()


@pytest.fixture
def model() -> ScriptedModel:
    """The default model of the service: says "Hello, world." until told otherwise."""
    return ScriptedModel("scripted")


@pytest.fixture
async def start_service(model: ScriptedModel) -> AsyncIterator[StartService]:
    """Start services with further models and sections: `server={...}`, `runs={...}`."""
    async with AsyncExitStack() as stack:

        async def start(*models: object, **sections: dict[str, Any]) -> RunningService:
            return await stack.enter_async_context(
                running_service(settings(**sections), [model, *models])  # type: ignore[list-item]
            )

        yield start


@pytest.fixture
async def service(start_service: StartService) -> RunningService:
    """A service with default limits and the scripted model."""
    return await start_service()


@pytest.fixture
async def mocks() -> AsyncIterator[MockProviders]:
    """Mock providers of all kinds, without scripts."""
    async with mock_providers() as running:
        yield running


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """A client session without a total time limit."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session:
        yield session
