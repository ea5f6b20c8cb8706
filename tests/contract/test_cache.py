"""What a caller sees of the cache: modes, headers, sharing, invalidation, on every wire."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest
import redis

from llm_stream.errors import UpstreamRejected
from llm_stream.testing import Fault, Script, ScriptedModel, words
from llm_stream.testing.service import RunningService

from ..conftest import StartService
from ..redisserver import RedisServer
from ..wire import SSE, WsClient, follow, speaking, sse_events

CALL = {"prompt": "Plan a shop."}


class Client:
    """One service as its callers see it."""

    def __init__(self, service: RunningService, http: aiohttp.ClientSession) -> None:
        self.service = service
        self.http = http
        self.headers: Any = {}

    async def ask(self, recipe: str = "generate", **body: Any) -> Any:
        """The answer of a recipe to the body, default `CALL`."""
        status, answer = await self.send("POST", f"/v1/{recipe}", {**CALL, **body})
        assert status == 200, answer
        return answer

    async def send(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Status and decoded body of any call."""
        url = f"{self.service.url}{path}"
        async with self.http.request(method, url, json=body, headers=headers) as response:
            self.headers = response.headers
            return response.status, await response.json()


@pytest.fixture(params=["memory", "redis"])
async def client(
    request: pytest.FixtureRequest, start_service: StartService, http: aiohttp.ClientSession
) -> Client:
    """A client of a service with its cache in memory, or in a real Redis."""
    url = ""
    if request.param == "redis":
        url = request.getfixturevalue("redis_server").url
    return Client(await start_service(cache={"url": url}), http)


async def test_a_second_call_costs_nothing(client: Client, model: ScriptedModel) -> None:
    """An equal request is answered from the cache, as a run of its own."""
    first = await client.ask()
    second = await client.ask()

    assert len(model.calls) == 1
    assert (second["text"], second["usage"]) == (first["text"], first["usage"])
    assert second["cached"] is True
    assert second["cache"] == {
        "status": "hit", "key": first["cache"]["key"], "age_seconds": 0, "ttl_seconds": 86399,
    }  # fmt: skip
    assert second["id"] != first["id"]
    assert client.headers["Age"] == "0"
    assert client.headers["Cache-Status"].startswith("llm-stream; hit; ttl=86399; key=")


async def test_one_entry_serves_every_wire(client: Client, model: ScriptedModel) -> None:
    """SSE, WebSocket, JSON, batch and a page of events say the same of one entry."""
    model.scripts = [
        Script(chunks=words(50), reasoning=("hm",), tool_calls=(("c1", "look", '{"a":1}'),))
    ]
    live = await follow(client.http, client.service.url, (await client.ask())["id"])
    told = [bare(event.data) for event in live][1:-1]
    url = client.service.url
    async with client.http.post(f"{url}/v1/generate", json=CALL, headers=SSE) as response:
        streamed = [bare(event.data) async for event in sse_events(response)]
    socket = await WsClient.connect(client.http, url)
    reply = await socket.ask(type="start", id="1", stream="a", input=CALL)
    framed = [bare(data) for data in await socket.end_of("a")]
    status, page = await client.send("GET", f"/v1/runs/{reply['run']}/events?limit=1000")

    assert reply["cache"] == "hit"
    assert streamed == framed == [bare(json.dumps(event).encode()) for event in page["events"]]
    assert streamed[0]["cache"] == "hit"
    assert streamed[1:-1] == told
    assert streamed[-1]["text_sha256"] == bare(live[-1].data)["text_sha256"]
    assert (status, len(model.calls)) == (200, 1)


def bare(data: bytes) -> Any:
    """An event without what differs from run to run."""
    event = json.loads(data)
    return {name: event[name] for name in event if name not in {"run", "t_ms", "timings"}}


async def test_batch_and_director_take_from_the_cache(client: Client, model: ScriptedModel) -> None:
    """A batch, and its repetition, pay for what nobody has asked before."""
    await client.ask()
    requests = [{"input": CALL}, {"input": {"prompt": "other"}}]
    for calls in (2, 2):
        status, body = await client.send("POST", "/v1/batch", {"requests": requests})
        assert (status, body["completed"], len(model.calls)) == (200, 2, calls)
    assert [result["answer"]["cached"] for result in body["results"]] == [True, True]
    for calls in (3, 3):
        status, body = await client.send("POST", "/query", {"prompt": "What?"})
        assert (status, len(model.calls)) == (200, calls)


async def test_a_changed_criterion_pays_for_one(client: Client, model: ScriptedModel) -> None:
    """Of an evaluation of which one criterion changed, only that one is judged again."""
    model.scripts = [Script(chunks=('{"reason":"r","evidence":[],"rating":"met","missing":[]}',))]
    stage = {"stage_name": "s", "stage_data": {"a": 1}}
    for criteria, calls in ((["x", "y", "z"], 3), (["x", "y", "w"], 4), (["x", "y", "w"], 4)):
        status, body = await client.send("POST", "/v1/evaluate", stage | {"criteria": criteria})
        assert (status, len(model.calls)) == (200, calls)
    assert body["cached"] is True
    assert body["usage"] == {"input_tokens": 3, "output_tokens": 4}


@pytest.mark.parametrize(
    ("mode", "calls", "then"),
    [("use", 1, 1), ("refresh", 2, 2), ("bypass", 2, 2), ("only", 1, 1)],
)
async def test_modes(
    client: Client, model: ScriptedModel, mode: str, calls: int, then: int
) -> None:
    """What each mode does where there is an entry, and whether it leaves another one."""
    model.respond = lambda _call: Script(chunks=(f"answer {len(model.calls)}",))
    await client.ask()

    answer = await client.ask(cache={"mode": mode})

    assert len(model.calls) == calls
    assert answer["cached"] is (calls == 1)
    after = await client.ask()
    assert len(model.calls) == then
    assert after["text"] == ("answer 1" if mode == "refresh" else "answer 0")


async def test_only_without_an_entry_is_a_504(client: Client, model: ScriptedModel) -> None:
    """A caller that wants no model call gets a problem, not an answer."""
    status, problem = await client.send("POST", "/v1/generate", CALL | {"cache": {"mode": "only"}})

    assert (status, problem["code"], problem["field"]) == (504, "not_cached", "cache.mode")
    assert not model.calls


async def test_a_failed_answer_is_not_kept(client: Client, model: ScriptedModel) -> None:
    """What failed is asked again."""
    model.scripts = [Script(fault=Fault(at=1, error=ConnectionError("x"))), Script()]
    status, _ = await client.send("POST", "/v1/generate", CALL)
    assert status == 502

    assert (await client.ask())["cached"] is False


async def test_a_cancelled_answer_is_not_kept(client: Client, model: ScriptedModel) -> None:
    """What was ended early is asked again."""
    model.scripts = [Script(fault=Fault(at=1, stall=True)), Script()]
    url = f"{client.service.url}/v1/generate"
    async with client.http.post(url, json=CALL, headers=SSE) as response:
        await speaking(model)
        await client.send("POST", f"/v1/runs/{response.headers['X-Run-Id']}/cancel")
        await response.read()

    assert (await client.ask())["text"] == "Hello, world."


async def test_an_answer_of_a_fallback_is_not_kept(
    start_service: StartService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """The model that was asked is asked again the next time."""
    broken = ScriptedModel("broken", Script(fault=Fault(error=UpstreamRejected("400"))))
    client = Client(await start_service(broken), http)
    for calls in (1, 2):
        body = await client.ask(model="broken", fallback_models=["scripted"])
        assert (body["cached"], len(broken.calls)) == (False, calls)


async def test_an_answer_of_a_second_attempt_is_kept(
    start_service: StartService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """Asked again, the same model has answered: nothing was substituted."""
    model.scripts = [Script(fault=Fault(error=ConnectionError("x"))), Script()]
    client = Client(await start_service(models={"retries": {"initial_seconds": 0}}), http)
    first, second = await client.ask(), await client.ask()

    assert (first["attempts"], first["cached"]) == (2, False)
    assert (second["cached"], second["text"], len(model.calls)) == (True, first["text"], 2)


class Held(ScriptedModel):
    """Says nothing until it is let go."""

    def __init__(self, *scripts: Script) -> None:
        super().__init__("held", *scripts)
        self.go = asyncio.Event()

    async def pause(self, seconds: float) -> None:
        """Wait for `go`."""
        await self.go.wait()


async def test_two_hundred_equal_calls_are_one(start_service: StartService) -> None:
    """One upstream call, 200 equal byte streams."""
    held = Held(Script(chunks=words(30)))
    service = await start_service(held)
    registry = service.parts.registry

    async def read(http: aiohttp.ClientSession) -> bytes:
        body = CALL | {"model": "held"}
        async with http.post(f"{service.url}/v1/generate", json=body, headers=SSE) as response:
            return await response.read()

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        readers = [asyncio.create_task(read(http)) for _ in range(200)]
        while registry.readers < 200:
            await asyncio.sleep(0)
        held.go.set()
        streams = await asyncio.gather(*readers)

    assert len(held.calls) == 1
    assert len(set(streams)) == 1


async def test_the_leaders_leaving_does_not_hurt_who_joined(
    client: Client, model: ScriptedModel
) -> None:
    """The one whose call it was cancels; the other one reads on from the beginning."""
    model.scripts = [Script(chunks=words(300))]
    url = f"{client.service.url}/v1/generate"
    async with client.http.post(url, json=CALL, headers=SSE) as leader:
        await speaking(model)
        async with client.http.post(url, json=CALL, headers=SSE) as follower:
            claim = leader.headers["X-Run-Claim"]
            run = leader.headers["X-Run-Id"]
            await client.send("POST", f"/v1/runs/{run}/cancel?claim={claim}")
            events = [event.payload async for event in sse_events(follower)]

    assert events[0]["id"] == "1-1"
    assert events[-1]["type"] == "run.completed"
    assert len(model.calls) == 1


async def test_tags_are_dropped_together(client: Client, model: ScriptedModel) -> None:
    """Invalidating a tag drops its entries, counts them, and leaves the others."""
    await client.ask(prompt="a", cache={"tags": ["x", "y"]})
    await client.ask(prompt="b", cache={"tags": ["x"]})
    await client.ask(prompt="c", cache={"tags": ["y"]})

    assert await client.send("POST", "/v1/cache/invalidate", {"tag": "x"}) == (200, {"dropped": 2})
    await client.ask(prompt="c")
    await client.ask(prompt="a")

    assert [call.prompt for call in model.calls] == ["a", "b", "c", "a"]


@pytest.mark.parametrize(
    ("by", "dropped"),
    [
        ({"all": True}, 2),
        ({"model": "scripted"}, 2),
        ({"model": "fast"}, 2),
        ({"model": "gone"}, 0),
        ({"recipe": "generate"}, 2),
        ({"recipe": "reason"}, 0),
        ({"template": "summarize"}, 1),
        ({"older_than_seconds": 3600}, 0),
        ({"tag": "x", "older_than_seconds": 3600}, 0),
    ],
)
async def test_invalidation_by_what_entries_have_in_common(
    client: Client, by: Any, dropped: int
) -> None:
    """By model or its alias, template, recipe, age, all; the count is what was there."""
    await client.ask()
    await client.ask(template="summarize")

    assert await client.send("POST", "/v1/cache/invalidate", by) == (200, {"dropped": dropped})


@pytest.mark.parametrize(
    "body", [{}, {"all": True, "tag": "x"}, {"tag": "x", "model": "m"}, {"older_than_seconds": 0}]
)
async def test_an_invalidation_says_exactly_what(client: Client, body: Any) -> None:
    """None or several of the ways to name entries are refused."""
    status, problem = await client.send("POST", "/v1/cache/invalidate", body)

    assert (status, problem["code"]) == (400, "invalid_field")


async def test_entries_are_listed_read_and_deleted(client: Client, model: ScriptedModel) -> None:
    """The list is newest first; one entry shows its answer, and goes."""
    key = (await client.ask(cache={"tags": ["x"]}))["cache"]["key"]
    await client.ask(prompt="b")

    _, listed = await client.send("GET", "/v1/cache")
    _, tagged = await client.send("GET", "/v1/cache?tag=x&limit=1")
    _, entry = await client.send("GET", f"/v1/cache/{key}")

    assert [e["title"] for e in listed["entries"]] == ["b", "Plan a shop."]
    assert (listed["total"], listed["statistics"]["misses"]) == (2, 2)
    assert [e["key"] for e in tagged["entries"]] == [key]
    assert entry["tags"] == ["x"]
    assert entry["answer"]["text"] == "Hello, world."
    assert await client.send("DELETE", f"/v1/cache/{key}") == (200, {"dropped": 1})
    status, problem = await client.send("DELETE", f"/v1/cache/{key}")
    assert (status, problem["code"]) == (404, "unknown_entry")


async def test_a_list_is_paged_to_any_depth(client: Client) -> None:
    """Behind the first thousand entries come the others, and behind the last one none."""
    for batch in range(5):
        asked = [{"input": {"prompt": f"{batch}-{number}"}} for number in range(256)]
        await client.send("POST", "/v1/batch", {"requests": asked})
    keys = []
    for skip in (0, 1000):
        _, page = await client.send("GET", f"/v1/cache?limit=1000&skip={skip}")
        keys += [entry["key"] for entry in page["entries"]]
    _, beyond = await client.send("GET", "/v1/cache?skip=100000000")
    too_far, _ = await client.send("GET", "/v1/cache?skip=100000001")

    assert len({*keys}) == len(keys) == page["total"] >= 5 * 256
    assert beyond["entries"] == []
    assert too_far == 400


async def test_an_entry_is_computed_anew(client: Client, model: ScriptedModel) -> None:
    """`refresh` of an entry asks the model what it was asked, and replaces the answer."""
    model.respond = lambda _call: Script(chunks=(f"answer {len(model.calls)}",))
    key = (await client.ask(system="Be brief."))["cache"]["key"]

    status, body = await client.send("POST", f"/v1/cache/{key}/refresh")

    assert (status, body["text"], body["cache"]["status"]) == (200, "answer 1", "miss")
    assert model.calls[1].messages == model.calls[0].messages
    assert (await client.ask(system="Be brief."))["text"] == "answer 1"


async def test_an_answer_asked_before_an_invalidation_is_not_kept(
    client: Client, model: ScriptedModel
) -> None:
    """A run under way at the invalidation ends, but nobody gets its answer afterwards."""
    model.scripts = [Script(chunks=words(50))]
    url = f"{client.service.url}/v1/generate"
    async with client.http.post(url, json=CALL, headers=SSE) as response:
        await speaking(model)
        await client.send("POST", "/v1/cache/invalidate", {"all": True})
        await response.read()

    assert (await client.ask())["cached"] is False


async def stale(client: Client, **body: Any) -> Any:
    """The first stale answer to a request whose answers are fresh for a millisecond."""
    while True:
        answer = await client.ask(cache={"ttl_seconds": 0.001}, **body)
        if answer["cached"] and client.service.parts.cache.counts["stale"]:
            return answer


async def test_a_stale_answer_is_given_while_it_is_computed_anew(
    start_service: StartService, http: aiohttp.ClientSession
) -> None:
    """Everyone gets the old answer at once, the model is asked once, then the new one is there."""
    held = Held(Script(chunks=("answer",)))
    held.go.set()
    client = Client(await start_service(held, cache={"stale_seconds": 1000}), http)
    await client.ask(model="held", cache={"ttl_seconds": 0.001})
    held.go.clear()

    answers = [await stale(client, model="held") for _ in range(5)]

    assert {answer["text"] for answer in answers} == {"answer"}
    assert len(held.calls) == 2
    held.go.set()
    while client.service.parts.registry.live:
        await asyncio.sleep(0)
    assert (await client.ask(model="held"))["cached"] is True


async def test_a_model_that_is_down_is_not_asked_for_every_stale_answer(
    start_service: StartService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """After an attempt to compute anew there is a pause, and no fallback is paid for."""
    broken = ScriptedModel(
        "broken", Script(), Script(fault=Fault(at=0, error=ConnectionError("down")))
    )
    client = Client(await start_service(broken, cache={"stale_seconds": 1000}), http)
    asked: dict[str, Any] = {"model": "broken", "fallback_models": ["scripted"]}
    await client.ask(cache={"ttl_seconds": 0.001}, **asked)
    for _ in range(20):
        await stale(client, **asked)

    assert len(broken.calls) == 2
    assert not model.calls


async def test_a_policy_keeps_repeatable_answers_only(
    start_service: StartService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """With `repeatable`, temperature 0 or a seed is what makes an answer kept."""
    client = Client(await start_service(cache={"policy": "repeatable"}), http)
    for options, kept in (
        ({}, False),
        ({"temperature": 0.5}, False),
        ({"temperature": 0}, True),
        ({"temperature": 0.5, "seed": 3}, True),
    ):
        await client.ask(options=options)
        assert (await client.ask(options=options))["cached"] is kept
        assert ("detail=unrepeatable" in client.headers["Cache-Status"]) is not kept


async def test_the_default_policy_says_what_is_unrepeatable(client: Client) -> None:
    """Everything is kept, and the header tells which answers could have been others."""
    await client.ask()
    assert client.headers["Cache-Status"].endswith("; detail=unrepeatable")

    await client.ask(options={"seed": 1})
    assert "detail" not in client.headers["Cache-Status"]


async def test_a_switched_off_cache_keeps_nothing(
    start_service: StartService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """`cache.enabled = false` asks the model every time."""
    client = Client(await start_service(cache={"enabled": False}), http)
    for calls in (1, 2):
        await client.ask()
        assert len(model.calls) == calls
    assert "fwd=bypass" in client.headers["Cache-Status"]


@pytest.mark.parametrize("pace", ["recorded", 100_000])
async def test_a_replay_keeps_its_pace(client: Client, model: ScriptedModel, pace: Any) -> None:
    """A paced hit says what an instant one says, as a live run that can be followed."""
    model.scripts = [Script(chunks=words(20), reasoning=("hm",))]
    first = await client.ask()

    paced = await client.ask(cache={"pace": pace})

    assert (paced["cached"], paced["text"]) == (True, first["text"])
    assert (paced["usage"], paced["reasoning"]) == (first["usage"], "hm")
    assert len(model.calls) == 1


@pytest.mark.parametrize(
    "cache",
    [
        {"mode": "maybe"},
        {"ttl_seconds": 0},
        {"tags": [""]},
        {"tags": ["x"] * 17},
        {"pace": 0.5},
        {"pace": "fast"},
        {"other": 1},
    ],
)
async def test_odd_cache_control_is_refused(client: Client, cache: Any) -> None:
    """Every wrong word about the cache is named."""
    status, problem = await client.send("POST", "/v1/generate", CALL | {"cache": cache})

    assert status == 400
    assert problem["field"].startswith("cache.")


async def test_a_replay_can_be_resumed(client: Client, model: ScriptedModel) -> None:
    """A hit that was streamed is read again behind any cursor of it."""
    model.scripts = [Script(chunks=words(20))]
    await client.ask()
    run = (await client.ask())["id"]
    whole = await follow(client.http, client.service.url, run)

    for place, event in enumerate(whole):
        rest = await follow(client.http, client.service.url, run, event.id or "")
        assert [e.data for e in rest] == [e.data for e in whole[place + 1 :]]


async def test_a_crowd_of_misses_is_kept(client: Client, model: ScriptedModel) -> None:
    """Two hundred equal calls at once are one call, and the next one is a hit."""
    model.scripts = [Script(chunks=words(30))]

    answers = await asyncio.gather(*[client.ask() for _ in range(200)])

    assert len(model.calls) == 1
    assert len({answer["text"] for answer in answers}) == 1
    assert (await client.ask())["cached"] is True


async def test_a_refresh_under_way_holds_nobody_up(
    start_service: StartService, http: aiohttp.ClientSession
) -> None:
    """Who may use the old answer gets it; a second refresh shares the first one."""
    held = Held(Script(chunks=("answer",)))
    held.go.set()
    client = Client(await start_service(held), http)
    await client.ask(model="held")
    held.go.clear()
    again: dict[str, Any] = {"cache": {"mode": "refresh"}, "model": "held"}
    refreshes = [asyncio.create_task(client.ask(**again)) for _ in range(2)]
    while client.service.parts.registry.readers < 2:
        await asyncio.sleep(0)

    assert (await client.ask(model="held"))["cached"] is True

    held.go.set()
    await asyncio.gather(*refreshes)
    assert len(held.calls) == 2


async def test_an_older_call_does_not_overwrite_a_refreshed_answer(
    start_service: StartService, http: aiohttp.ClientSession
) -> None:
    """A slow call that ends after a refresh that began later leaves the refreshed answer."""
    held = Held(Script(chunks=("old",)), Script(chunks=("new",)))
    client = Client(await start_service(held), http)
    slow = asyncio.create_task(client.ask(model="held"))
    while not held.calls:
        await asyncio.sleep(0)
    holding, held.go = held.go, asyncio.Event()
    held.go.set()
    assert (await client.ask(model="held", cache={"mode": "refresh"}))["text"] == "new"
    holding.set()
    assert (await slow)["text"] == "old"

    assert (await client.ask(model="held"))["text"] == "new"


async def test_nobody_joins_a_call_from_before_an_invalidation(
    start_service: StartService, http: aiohttp.ClientSession
) -> None:
    """Who asks after it gets an answer that was asked for after it."""
    held = Held(Script(chunks=("before",)), Script(chunks=("after",)))
    client = Client(await start_service(held), http)
    early = asyncio.create_task(client.ask(model="held"))
    while not held.calls:
        await asyncio.sleep(0)
    await client.send("POST", "/v1/cache/invalidate", {"all": True})
    late = asyncio.create_task(client.ask(model="held"))
    while len(held.calls) < 2:
        await asyncio.sleep(0)
    held.go.set()

    assert (await early)["text"] == "before"
    assert (await late)["text"] == "after"
    assert (await client.ask(model="held"))["text"] == "after"


async def test_tags_of_hits_joins_and_refreshes_count(client: Client, model: ScriptedModel) -> None:
    """An answer can be invalidated by every tag somebody has asked for it with."""
    await client.ask(cache={"tags": ["a"]})
    await client.ask(cache={"tags": ["b"]})
    await client.ask(cache={"mode": "refresh"})

    _, listed = await client.send("GET", "/v1/cache")

    assert sorted(listed["entries"][0]["tags"]) == ["a", "b"]
    assert await client.send("POST", "/v1/cache/invalidate", {"tag": "b"}) == (200, {"dropped": 1})
    assert (await client.ask())["cached"] is False


async def test_a_batch_passes_its_cache_control_on(client: Client, model: ScriptedModel) -> None:
    """What a batch says of the cache holds for its requests that say nothing themselves."""
    await client.ask()
    requests = [{"input": CALL}, {"input": CALL | {"cache": {"mode": "bypass"}}}]
    _, only = await client.send(
        "POST", "/v1/batch", {"requests": [{"input": CALL}], "cache": {"mode": "only"}}
    )
    assert (only["completed"], len(model.calls)) == (1, 1)

    await client.send("POST", "/v1/batch", {"requests": requests})
    await client.send("POST", "/v1/batch", {"requests": requests})

    assert len(model.calls) == 3


async def test_a_repeated_key_of_a_hit_is_a_hit(client: Client, model: ScriptedModel) -> None:
    """Header and body of a call that is asked again by its key agree on where it came from."""
    await client.ask()
    for _ in range(2):
        headers = {"Idempotency-Key": "k"}
        status, body = await client.send("POST", "/v1/generate", CALL, **headers)
        assert (status, body["cache"]["status"]) == (200, "hit")
        assert client.headers["Cache-Status"].startswith("llm-stream; hit")


async def test_replays_outlive_a_flood_of_others(client: Client, model: ScriptedModel) -> None:
    """A hit can still be read after a thousand further hits."""
    model.scripts = [Script(chunks=words(300))]
    await client.ask()
    run = (await client.ask())["id"]
    for _ in range(1000):
        await client.ask()

    assert len(await follow(client.http, client.service.url, run)) == 303


async def test_an_odd_entry_in_redis_is_a_miss(
    start_service: StartService,
    http: aiohttp.ClientSession,
    model: ScriptedModel,
    redis_server: RedisServer,
) -> None:
    """Whatever stands under the key - cut, foreign, of another request - the model is asked."""
    client = Client(await start_service(cache={"url": redis_server.url}), http)
    key = (await client.ask())["cache"]["key"]
    await client.ask(prompt="another")
    await client.service.parts.cache.settled()
    with redis.Redis(port=redis_server.port) as server:
        place = f"llm-stream:cache:e:{key}"
        good = server.get(place)
        assert isinstance(good, bytes)
        (other,) = set(server.keys("llm-stream:cache:e:*")) - {place.encode()}
        for odd in (
            good[:200],
            good.replace(b'"usage":{', b'"usages":{'),
            good.replace(b'"run.completed"', b'"run.failed"'),
            b"1" * 5000,
            server.get(other),
        ):
            server.set(place, odd)
            status, answer = await client.send("POST", "/v1/generate", CALL)
            assert (status, answer["cached"], answer["text"]) == (200, False, "Hello, world.")
            await client.service.parts.cache.settled()
