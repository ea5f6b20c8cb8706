"""The account over HTTP: exact after whatever happened, and grouped as asked."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest

from llm_stream.errors import InvalidField
from llm_stream.testing import Fault, Script, ScriptedModel
from llm_stream.testing.service import RunningService
from llm_stream.web.usage import dimensions_of, moment_of

from ..conftest import StartService
from ..wire import SSE, WsClient, ended, follow, speaking, start_async, until

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC).timestamp()

PRICES = {
    "scripted": {"input_per_million": 1_000_000, "output_per_million": 2_000_000},
    "second": {"input_per_million": 0, "output_per_million": 10_000_000},
}


@pytest.fixture
async def service(start_service: StartService) -> RunningService:
    """A service with a history and prices, and a second model."""
    return await start_service(
        ScriptedModel("second"),
        ScriptedModel("free"),
        history={"enabled": True},
        cache={"prices": PRICES},
        models={"retries": {"initial_seconds": 0}},
    )


class Client:
    """Asks a service."""

    def __init__(self, http: aiohttp.ClientSession, service: RunningService) -> None:
        self.http = http
        self.url = service.url

    async def post(self, path: str, **body: Any) -> Any:
        """The answer to a call."""
        async with self.http.post(self.url + path, json=body) as response:
            return await response.json()

    async def usage(self, **query: str) -> Any:
        """The account."""
        async with self.http.get(f"{self.url}/v1/usage", params=query) as response:
            assert response.status == 200, await response.text()
            return await response.json()


@pytest.fixture
def client(http: aiohttp.ClientSession, service: RunningService) -> Client:
    """Asks the service."""
    return Client(http, service)


def figures(group: dict[str, Any], *names: str) -> tuple[Any, ...]:
    """These figures of a group."""
    return tuple(group[name] for name in names)


async def test_calls_are_told_by_how_they_were_answered(client: Client) -> None:
    """One that was computed, two from the cache: calls, shares, tokens and cost of the one."""
    for _ in range(3):
        await client.post("/v1/generate", prompt="a")
    total = (await client.usage())["total"]

    assert figures(total, "calls", "cached", "joined", "completed") == (3, 2, 0, 1)
    assert figures(total, "cached_share", "joined_share", "success_share") == (0.666667, 0, 1)
    assert figures(total, "model_calls", "input_tokens", "output_tokens") == (1, 3, 4)
    assert figures(total, "cost", "estimated_cost", "unpriced_tokens") == (3 + 8, 0, 0)
    assert total["latency_ms"].keys() == {"p50", "p90", "p99"}
    assert total["first_token_ms"]["p50"] <= total["latency_ms"]["p50"]


async def test_joined_calls_cost_nothing(
    client: Client, service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """Of twenty equal calls at once one is computed; on the socket and over HTTP alike."""
    ws = await WsClient.connect(http, service.url)
    posts = [asyncio.create_task(client.post("/v1/generate", prompt="a")) for _ in range(19)]
    await ws.ask(type="start", id="1", recipe="generate", input={"prompt": "a"})
    await asyncio.gather(*posts)
    await ws.end_of("1")
    await ws.ws.close()
    total = (await client.usage())["total"]

    assert len(model.calls) == 1
    assert figures(total, "calls", "completed", "output_tokens") == (20, 1, 4)
    assert total["joined"] + total["cached"] == 19


async def test_a_cancelled_call_is_estimated(
    client: Client, service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """Nobody reports its tokens: prompt and text say about how many they were, told apart."""
    model.scripts = [Script(chunks=("12345678", "12"), fault=Fault(at=2, stall=True))]
    run, _ = await start_async(http, service.url, prompt="x" * 40)
    await until(lambda: model.calls and model.calls[0].said == 2)
    await client.post(f"/v1/runs/{run}/cancel")
    await follow(http, service.url, run)
    total = (await client.usage())["total"]

    assert figures(total, "calls", "cancelled", "completed", "success_share") == (1, 1, 0, None)
    assert figures(total, "input_tokens", "output_tokens") == (0, 0)
    assert figures(total, "estimated_input_tokens", "estimated_output_tokens") == (10, 3)
    assert figures(total, "cost", "estimated_cost") == (0, 10 + 6)
    assert total["latency_ms"] is None


async def test_a_reader_that_leaves_changes_nothing(
    client: Client, service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """The run goes on without it, and counts once, with all its tokens."""
    model.scripts = [Script(delay_seconds=0.001)]
    body = {"prompt": "a", "on_disconnect": "continue"}
    async with http.post(f"{service.url}/v1/generate", json=body, headers=SSE) as response:
        await speaking(model)
        run = service.parts.registry.find(response.headers["X-Run-Id"])
        response.close()
    await ended(run)
    total = (await client.usage())["total"]

    assert figures(total, "calls", "completed", "model_calls") == (1, 1, 1)
    assert figures(total, "input_tokens", "output_tokens") == (3, 4)
    assert figures(total, "estimated_input_tokens", "estimated_output_tokens") == (0, 0)


async def test_an_abandoned_call_is_in_the_account(
    client: Client, service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """A plain call whose client has gone is cancelled; what it had said is estimated."""
    model.scripts = [Script(fault=Fault(at=1, stall=True))]
    asking = asyncio.create_task(client.post("/v1/generate", prompt="aaaa"))
    await speaking(model)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await until(lambda: not service.parts.registry.live)
    total = (await client.usage())["total"]

    assert figures(total, "calls", "cancelled") == (1, 1)
    assert figures(total, "estimated_input_tokens", "model_calls") == (1, 1)


async def test_tokens_are_those_of_the_model_that_answered(
    client: Client, model: ScriptedModel
) -> None:
    """A fallback is paid for, the model that was asked has the call."""
    model.scripts = [Script(fault=Fault(error=ConnectionError("x")))]
    await client.post("/v1/generate", prompt="a", fallback_models=["second"])
    groups = {g["model"]: g for g in (await client.usage(group_by="model"))["groups"]}

    assert figures(groups["scripted"], "calls", "model_calls", "cost") == (1, 0, None)
    assert figures(groups["second"], "calls", "model_calls", "cost") == (0, 1, 40)


async def test_what_recipes_spend_is_theirs(client: Client) -> None:
    """Inner calls are no calls of a caller; their tokens are those of the outermost recipe."""
    await client.post("/v1/generate", prompt="a")
    await client.post(
        "/v1/batch",
        requests=[
            {"input": {"prompt": "b"}},
            {"recipe": "reason", "input": {"question": "c", "strategy": "critique"}},
        ],
    )
    groups = {g["recipe"]: g for g in (await client.usage(group_by="recipe"))["groups"]}

    assert groups.keys() == {"generate", "batch"}
    assert figures(groups["generate"], "calls", "model_calls", "output_tokens") == (1, 1, 4)
    assert figures(groups["batch"], "calls", "completed") == (1, 1)
    calls = groups["batch"]["model_calls"]
    assert calls >= 3
    assert groups["batch"]["output_tokens"] == 4 * calls


async def test_tiers_are_told_apart(client: Client) -> None:
    """By the name that was asked for, also by a Director; what names a model has none."""
    await client.post("/v1/generate", prompt="a", model="fast")
    await client.post("/v1/generate", prompt="b", model="scripted")
    await client.post("/v1/generate", prompt="c")
    await client.post("/query", prompt="d", tier="fast")
    await client.post("/query", prompt="e", model="fast")
    await client.post("/query", prompt="f", model="gpt-3.5-turbo")
    groups = {g["tier"]: g for g in (await client.usage(group_by="tier"))["groups"]}

    assert {tier: group["calls"] for tier, group in groups.items()} == {"fast": 3, "": 3}


async def test_a_model_without_a_price_is_counted_apart(client: Client) -> None:
    """Its tokens are not silently taken for free ones."""
    await client.post("/v1/generate", prompt="a", model="free")
    unpriced = (await client.usage())["total"]
    await client.post("/v1/generate", prompt="a")
    both = (await client.usage())["total"]

    assert figures(unpriced, "cost", "estimated_cost", "unpriced_tokens") == (None, None, 7)
    assert figures(both, "cost", "unpriced_tokens") == (11, 7)


async def test_groups_are_named_as_asked(client: Client) -> None:
    """Every dimension, in that order; the group that has spent most comes first."""
    await client.post("/v1/generate", prompt="a", model="free")
    for prompt in ("b", "c"):
        await client.post("/v1/generate", prompt=prompt)
    found = await client.usage(group_by="recipe,client,model", since="1h")

    assert found["group_by"] == ["recipe", "client", "model"]
    assert [[*group][:3] for group in found["groups"]] == [["recipe", "client", "model"]] * 2
    assert [group["model"] for group in found["groups"]] == ["scripted", "free"]
    assert found["total"]["calls"] == 3
    assert found["since"] < found["oldest"] < found["until"]
    assert found["not_recorded"] == 0


async def test_nothing_is_counted_before_since(client: Client) -> None:
    """A span of no length has nothing in it, and no shares."""
    await client.post("/v1/generate", prompt="a")
    found = await client.usage(since="0s", group_by="model")

    assert found["groups"] == []
    assert figures(found["total"], "calls", "cached_share", "latency_ms") == (0, None, None)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"group_by": "colour"}, "group_by"),
        ({"group_by": "model,"}, "group_by"),
        ({"since": "yesterday"}, "since"),
        ({"since": ""}, "since"),
        ({"since": "24"}, "since"),
        ({"since": "-1h"}, "since"),
        ({"since": "9999999h"}, "since"),
        ({"since": "2999-01-01"}, "since"),
        ({"since": "1969-01-01"}, "since"),
    ],
    ids=str,
)
async def test_bad_values_are_refused(client: Client, query: dict[str, str], field: str) -> None:
    """A 400 problem names the field."""
    async with client.http.get(f"{client.url}/v1/usage", params=query) as response:
        problem = await response.json()

    assert (response.status, problem["code"], problem["field"]) == (400, "invalid_field", field)


async def test_without_a_history_there_is_no_account(
    start_service: StartService, http: aiohttp.ClientSession
) -> None:
    """It says what to switch on."""
    service = await start_service()
    async with http.get(f"{service.url}/v1/usage") as response:
        problem = await response.json()

    assert (response.status, problem["code"]) == (404, "not_found")
    assert "history" in problem["detail"]


@pytest.mark.parametrize(
    ("text", "before"),
    [
        ("90s", 90),
        ("90m", 5_400),
        ("24h", 86_400),
        ("7d", 604_800),
        ("2w", 1_209_600),
        ("2026-11-27", 43_200),
        ("2026-11-27T11:00:00Z", 3_600),
        ("2026-11-27T11:00:00", 3_600),
        ("2026-11-27 11:00", 3_600),
        ("2026-11-27T12:00:00+01:00", 3_600),
        ("2026-11-27T12:00:00 01:00", 3_600),
        ("20261127T110000Z", 3_600),
    ],
)
def test_since_takes_times_and_spans(text: str, before: int) -> None:
    """UTC where no zone is named."""
    assert NOW - moment_of(text, NOW) == before


def test_since_ever() -> None:
    """Without a moment everything counts, as with a span that began before there were clocks."""
    assert moment_of(None, NOW) == 0
    assert moment_of("9999w", NOW) == 0


def test_dimensions_are_taken_once() -> None:
    """In the order they were named."""
    assert dimensions_of("tier,model,tier") == ("tier", "model")
    assert dimensions_of("") == ()
    with pytest.raises(InvalidField):
        dimensions_of("tier model")
