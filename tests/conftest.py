"""A real service on a real socket, with scripted models, no network and no keys."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest

from llm_stream.config import (
    LimitsSection,
    LocalSection,
    ModelsSection,
    RunsSection,
    ServerSection,
    Settings,
)
from llm_stream.testing import ScriptedModel
from llm_stream.testing.service import RunningService, running_service

StartService = Callable[..., Awaitable[RunningService]]


def settings(
    *,
    server: dict[str, Any] | None = None,
    runs: dict[str, Any] | None = None,
    limits: dict[str, Any] | None = None,
    models: dict[str, Any] | None = None,
) -> Settings:
    """A configuration without plugins and without the embedded model."""
    return Settings.model_construct(
        **{name: Settings.model_fields[name].default for name in Settings.model_fields}
        | {
            "server": ServerSection(**(server or {})),
            "runs": RunsSection(**(runs or {})),
            "limits": LimitsSection(**(limits or {})),
            "models": ModelsSection(
                **{
                    "default": "scripted",
                    "plugins": (),
                    "aliases": {"fast": "scripted"},
                    **(models or {}),
                }
            ),
            "local": LocalSection(enabled=False),
        }
    )


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
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """A client session without a total time limit."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session:
        yield session
