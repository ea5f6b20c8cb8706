"""The JavaScript client in Node, with a proxy that can hurt it between it and a live service."""

import asyncio
import json
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from llm_stream.resources import resource
from llm_stream.testing.faultproxy import FaultProxy, fault_proxy
from llm_stream.testing.service import RunningService

Wire = Literal["sse", "websocket"]

ASKER = Path(__file__).parent / "asker.mjs"


class Asker:
    """A Node process that runs one case after the other; see asker.mjs."""

    def __init__(self, node: str) -> None:
        told = subprocess.run([node, "--version"], capture_output=True, text=True, check=True)
        # Node before 22 has a WebSocket, but shows it only when asked.
        old = int(told.stdout.lstrip("v").partition(".")[0]) < 22
        flags = ["--experimental-websocket"] if old else []
        command = [node, *flags, str(ASKER), str(resource("static"))]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    async def say(self, told: object) -> Any:
        """Tell it something; what it answers."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps(told) + "\n")
        stdin.flush()
        return json.loads(await asyncio.to_thread(stdout.readline))

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()


@pytest.fixture(scope="session")
def asker() -> Iterator[Asker]:
    """The one process; without Node the tests fail and say what to do."""
    node = shutil.which("node")
    if node is None:
        pytest.fail("Run scripts/ensure-node, or leave these tests out: make test NODE=0.")
    started = Asker(node)
    yield started
    started.close()


@pytest.fixture(params=["sse", "websocket"])
def wire(request: pytest.FixtureRequest) -> Any:
    """Both wires."""
    return request.param


@pytest.fixture
async def proxy(service: RunningService) -> AsyncIterator[FaultProxy]:
    """Between the client and the service."""
    async with fault_proxy(service.port) as running:
        yield running


class Client:
    """Asks for cases with a client of its own for each; `options` are those of its constructor."""

    def __init__(self, asker: Asker, url: str, **options: Any) -> None:
        self._asker = asker
        self._url = url
        self._options = options

    async def begin(self, name: str, /, options: Any = None, **given: Any) -> Any:
        """Run a case; how far it came (`reached`), what it gave (`value`) or failed with."""
        merged = {**self._options, **(options or {})}
        return await self._asker.say({"name": name, "url": self._url, "options": merged, **given})

    async def go(self) -> Any:
        """Go on with a case that has told how far it is."""
        return await self._asker.say("go")

    async def ask(self, name: str, /, options: Any = None, **given: Any) -> Any:
        """Run a case to its end; what it gave."""
        told = await self.begin(name, options, **given)
        assert "value" in told, told
        return told["value"]


@pytest.fixture
def client(asker: Asker, proxy: FaultProxy, wire: Wire) -> Client:
    """A client of the service, through the proxy."""
    return Client(asker, f"http://127.0.0.1:{proxy.port}", wire=wire)


@pytest.fixture
def client_of(asker: Asker, wire: Wire) -> Callable[[str], Client]:
    """Clients of whatever is at an address."""
    return lambda url: Client(asker, url, wire=wire)
