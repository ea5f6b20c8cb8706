"""A cancel of another replica's run is heard by who works on it now, or the client is told."""

from typing import Any

import aiohttp

from llm_stream.events import position_of
from llm_stream.testing import Fault, Script, ScriptedModel

from ..conftest import StartService
from ..redisserver import RedisServer
from ..standin import RUN, of_another, other_replica, took_over
from ..wire import WsClient, reached, shared, start_async


async def cancel(http: aiohttp.ClientSession, url: str, run: str) -> tuple[int, Any]:
    """Status and body of a cancel."""
    async with http.post(f"{url}/v1/runs/{run}/cancel") as response:
        return response.status, await response.json()


async def test_a_cancel_that_its_owner_does_not_hear_is_refused(
    redis_server: RedisServer, start_service: StartService, http: aiohttp.ClientSession
) -> None:
    """An owner that says nothing: 503 `log_unavailable` on both wires, to be tried again."""
    service = await start_service(redis={"url": redis_server.url})
    of_another(redis_server)
    ws = await WsClient.connect(http, service.url)

    status, body = await cancel(http, service.url, RUN)
    reply = await ws.ask(type="cancel", id="1", run=RUN)

    assert (status, body["code"], body["retryable"]) == (503, "log_unavailable", True)
    assert (reply["status"], reply["error"]["code"]) == (503, "log_unavailable")
    await ws.ws.close()


async def test_a_cancel_is_told_to_who_works_on_the_run_now(
    redis_server: RedisServer,
    start_service: StartService,
    http: aiohttp.ClientSession,
    model: ScriptedModel,
) -> None:
    """An owner whose run was taken over passes a cancel on, and says what the new owner says."""
    service = await start_service(redis={"url": redis_server.url})
    model.scripts = [Script(fault=Fault(at=1, stall=True))]
    run, _ = await start_async(http, service.url, prompt="x", on_disconnect="continue")
    held = service.parts.registry.find(run)
    await reached(held, 2)
    sharing = service.parts.replicas
    assert sharing is not None
    await shared(service)
    again = took_over(redis_server, run, {"type": "run.restarted", "reason": "owner_lost"})
    sharing.mirror.check([held])
    await reached(held, 3)
    assert held.log.cursor == position_of(again)

    says = {"state": "cancelled", "shared": False}
    async with other_replica(redis_server, release=says) as heard:
        status, body = await cancel(http, service.url, run)

    assert (status, body) == (200, {"run": run, "state": "cancelled", "shared": False})
    assert [message["run"] for message in heard if message["do"] == "release"] == [run]
