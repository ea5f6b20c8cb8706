"""Clients of a service, on either wire, with a proxy that can hurt them in between."""

from collections.abc import AsyncIterator
from typing import Any, Literal

import pytest

from llm_stream.client import AsyncClient
from llm_stream.testing.faultproxy import FaultProxy, fault_proxy
from llm_stream.testing.service import RunningService

Wire = Literal["sse", "websocket"]


@pytest.fixture(params=["sse", "websocket"])
def wire(request: pytest.FixtureRequest) -> Any:
    """Both wires."""
    return request.param


@pytest.fixture
async def proxy(service: RunningService) -> AsyncIterator[FaultProxy]:
    """Between the client and the service."""
    async with fault_proxy(service.port) as running:
        yield running


@pytest.fixture
async def client(proxy: FaultProxy, wire: Wire) -> AsyncIterator[AsyncClient]:
    """A client of the service, through the proxy."""
    async with AsyncClient(f"http://127.0.0.1:{proxy.port}", wire=wire, key="") as made:
        yield made
