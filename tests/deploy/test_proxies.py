"""The files for nginx and Caddy that are deployed, run for real in front of services."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from io import BytesIO
from pathlib import Path

import aiohttp
import pytest

from llm_stream.config import Settings
from llm_stream.resources import resource
from llm_stream.testing import Fault, Script, ScriptedModel, words

from ..caddy import caddy
from ..conftest import StartService
from ..nginx import serving_sites
from ..redisserver import free_port
from ..stepmodel import StepModel
from ..wire import SSE, WsClient, follow, sse_events
from .files import DEPLOY

pytestmark = pytest.mark.slow

SERVER = {"allowed_hosts": ("llm.example",)}
"""What both files ask of the replicas behind them."""

COUNT = 10
DIRECTED = {"prompt": "x", "model": "steps"}

Proxy = Callable[[Sequence[int]], AbstractContextManager[str]]
"""Starts one in front of the services on two ports; its address."""


def nginx_file(ports: Sequence[int], port: int) -> str:
    """deploy/nginx.conf with other ports, and nothing else."""
    text = (DEPLOY / "nginx.conf").read_text("utf-8")
    for place, replica in zip((8080, 8081), ports, strict=True):
        text = replaced(text, f"127.0.0.1:{place} ", f"127.0.0.1:{replica} ")
    return replaced(text, "listen 80;", f"listen 127.0.0.1:{port};")


def caddy_file(ports: Sequence[int], port: int) -> str:
    """deploy/Caddyfile with other ports, without TLS, and nothing else."""
    text = (DEPLOY / "Caddyfile").read_text("utf-8")
    for place, replica in zip((8080, 8081), ports, strict=True):
        text = replaced(text, f"127.0.0.1:{place} ", f"127.0.0.1:{replica} ")
    return replaced(text, "\nllm.example {", f"\nhttp://llm.example:{port} {{\n\tbind 127.0.0.1")


def replaced(text: str, old: str, new: str) -> str:
    """The text with the one place changed."""
    assert text.count(old) == 1
    return text.replace(old, new)


@pytest.fixture(params=[pytest.param("nginx", marks=pytest.mark.nginx), "caddy"])
def proxy(request: pytest.FixtureRequest, tmp_path: Path) -> Proxy:
    """Each of the two."""

    @contextmanager
    def started(ports: Sequence[int]) -> Iterator[str]:
        port = free_port()
        if request.param == "nginx":
            with serving_sites(tmp_path, nginx_file(ports, port), port) as url:
                yield url
        else:
            with caddy(tmp_path, caddy_file(ports, port), port) as running:
                yield running.url

    return started


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    """Who addresses the service by its public name."""
    async with aiohttp.ClientSession(headers={"Host": "llm.example"}) as session:
        yield session


async def test_tokens_pass_one_by_one(
    start_service: StartService, client: aiohttp.ClientSession, proxy: Proxy
) -> None:
    """Each word is there before the model says the next one."""
    model = StepModel(COUNT)
    pair = [await start_service(model, server=SERVER) for _ in range(2)]
    text = ""
    with proxy([each.port for each in pair]) as url:
        async with client.post(f"{url}/v1/generate", json=DIRECTED, headers=SSE) as response:
            assert response.status == 200, await response.text()
            async for event in sse_events(response):
                payload = event.payload
                text += payload.get("text", "") if payload["type"] == "text.delta" else ""
                if payload["type"] in {"run.started", "text.delta"}:
                    model.step.release()

    assert text == "".join(words(COUNT))


async def test_a_client_that_leaves_is_noticed(
    start_service: StartService,
    client: aiohttp.ClientSession,
    proxy: Proxy,
    model: ScriptedModel,
) -> None:
    """The model's call is closed when the proxy's client has gone."""
    model.scripts = [Script(fault=Fault(at=1, stall=True))]
    pair = [await start_service(server=SERVER, runs={"abandon_grace_seconds": 0}) for _ in range(2)]
    with proxy([each.port for each in pair]) as url:
        asked = {"prompt": "x"}
        async with client.post(f"{url}/v1/generate", json=asked, headers=SSE) as response:
            async for event in sse_events(response):
                if event.payload["type"] == "text.delta":
                    break
            response.close()

        assert await asyncio.to_thread(model.calls[0].closed.wait, 10)


async def test_a_socket_passes(
    start_service: StartService, client: aiohttp.ClientSession, proxy: Proxy
) -> None:
    """A WebSocket says what the service says."""
    service = await start_service(server=SERVER)
    with proxy([service.port, service.port]) as url:
        ws = await WsClient.connect(client, url)
        reply = await ws.ask(type="start", id="1", stream="a", input={"prompt": "x"})
        events = await ws.end_of("a")
        await ws.ws.close()

    direct = await follow(client, service.url, reply["run"])
    assert events == [event.data for event in direct]


async def test_the_largest_body_is_the_services_business(
    start_service: StartService, client: aiohttp.ClientSession, proxy: Proxy
) -> None:
    """A body of as many bytes as the service takes reaches it."""
    service = await start_service(server=SERVER)
    body = b'{"prompt": "' + b"x" * (Settings().server.body_bytes - 14) + b'"}'
    with proxy([service.port, service.port]) as url:
        typed = {"Content-Type": "application/json"}
        async with client.post(f"{url}/v1/generate", data=BytesIO(body), headers=typed) as response:
            problem = await response.json(content_type=None)

    assert len(body) == Settings().server.body_bytes
    assert problem["field"] == "prompt"


async def test_who_is_gone_is_passed_over(
    start_service: StartService, client: aiohttp.ClientSession, proxy: Proxy
) -> None:
    """Every request finds the replica that is there."""
    service = await start_service(server=SERVER)
    with proxy([free_port(), service.port]) as url:
        for number in range(6):
            asked = {"prompt": f"{number}"}
            async with client.post(f"{url}/v1/generate", json=asked) as response:
                assert response.status == 200, await response.text()


@pytest.mark.nginx
async def test_nginx_begins_a_refused_run_elsewhere(
    start_service: StartService, client: aiohttp.ClientSession, tmp_path: Path
) -> None:
    """A run that a draining replica refuses is begun by the other one."""
    draining, other = [await start_service(server=SERVER) for _ in range(2)]
    draining.parts.draining.set()
    port = free_port()
    sites = nginx_file([draining.port, other.port], port)
    with serving_sites(tmp_path, sites, port) as url:
        for number in range(6):
            asked = {"prompt": f"{number}"}
            async with client.post(f"{url}/v1/generate", json=asked) as response:
                assert response.status == 200, await response.text()


async def test_caddy_leaves_a_draining_replica_alone(
    start_service: StartService, client: aiohttp.ClientSession, tmp_path: Path
) -> None:
    """After its first look at a replica that drains, Caddy sends it nothing."""
    draining, other = [await start_service(server=SERVER) for _ in range(2)]
    draining.parts.draining.set()
    port = free_port()
    with caddy(tmp_path, caddy_file([draining.port, other.port], port), port) as running:
        # It says so before it heeds it: who has said it twice has heeded it once.
        for _ in range(2):
            await asyncio.to_thread(running.says, "status code out of tolerances")
        for number in range(12):
            asked = {"prompt": f"{number}"}
            async with client.post(f"{running.url}/v1/generate", json=asked) as response:
                assert response.status == 200, await response.text()


def test_nginx_waits_longer_than_a_model_may_take() -> None:
    """An answer as JSON, which says nothing until it is whole, is not cut off by nginx."""
    (minutes,) = re.findall(r"proxy_read_timeout (\d+)m;", (DEPLOY / "nginx.conf").read_text())

    assert int(minutes) * 60 > Settings().models.timeouts.total_seconds


def test_both_files_for_nginx_are_one() -> None:
    """The file of compose.yaml differs in its first lines and in its upstream only."""
    own, composed = (
        (DEPLOY / name).read_text("utf-8") for name in ("nginx.conf", "compose/nginx.conf")
    )

    assert composed.partition("\nmap ")[2] == own.partition("\nmap ")[2] != ""


@pytest.mark.parametrize(
    ("name", "language"), [("nginx.conf", "nginx"), ("Caddyfile", "caddyfile")]
)
def test_the_document_shows_the_files(name: str, language: str) -> None:
    """docs/deployment.md has each file as it is."""
    text = resource("docs").joinpath("deployment.md").read_text("utf-8")
    shown = text.partition(f"```{language}\n")[2].partition("```")[0]

    assert shown == (DEPLOY / name).read_text("utf-8")
