"""Who may do what, over HTTP and on the socket."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from llm_stream.access.clientfile import ClientRecord, editing, now
from llm_stream.access.clientkey import new_key
from llm_stream.access.tickets import subprotocol
from llm_stream.testing import Fault, Script, ScriptedModel, words
from llm_stream.testing.service import RunningService
from llm_stream.web.auth import NEEDS, PUBLIC, need_of
from llm_stream.web.ws import PROTOCOL

from ..conftest import StartService
from ..peers import small_socket
from ..wire import SSE, follow, start_async, until

STALL = Script(chunks=words(3), fault=Fault(at=1, stall=True))

AddClient = Callable[..., dict[str, str]]


@pytest.fixture
def clients_file(tmp_path: Path) -> Path:
    """Where clients stand."""
    return tmp_path / "clients.toml"


@pytest.fixture
def add_client(clients_file: Path) -> AddClient:
    """Makes a client: `add_client("name", scopes=..., ...)`; the headers that show its key."""

    def add(name: str = "x", **fields: Any) -> dict[str, str]:
        key = new_key()
        said = {"name": name, "hash": key.hash, "created_at": now(), **fields}
        with editing(clients_file) as clients:
            clients[key.id] = ClientRecord.model_validate(said)
        return {"Authorization": f"Bearer {key.text}"}

    return add


@pytest.fixture
def revoke(clients_file: Path) -> Callable[[str], None]:
    """Revokes the client of that name."""

    def revoke(name: str) -> None:
        with editing(clients_file) as clients:
            for client_id, record in clients.items():
                if record.name == name:
                    clients[client_id] = record.model_copy(update={"revoked_at": now()})

    return revoke


@pytest.fixture
async def guarded(start_service: StartService, clients_file: Path) -> RunningService:
    """A service that asks for keys."""
    return await start_service(auth={"required": True, "clients_file": str(clients_file)})


async def look(service: RunningService) -> None:
    """Have the service read its clients now, instead of within a second."""
    await service.parts.access.roster.look()


async def test_every_route_has_a_need(service: RunningService) -> None:
    """Nobody has forgotten to say what a route needs, and nothing is said of one that is gone."""
    routes = {
        (route.method, route.resource.canonical)
        for route in service.app.router.routes()
        if route.resource is not None
    }

    assert [route for route in routes if need_of(*route) is None] == []
    assert {f"{method} {path}" for method, path in routes if method != "HEAD"} == set(NEEDS)


async def test_what_nobody_has_said_is_refused(
    guarded: RunningService,
    http: aiohttp.ClientSession,
    add_client: AddClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also to an admin."""
    headers = add_client(scopes=("admin",))
    await look(guarded)
    monkeypatch.delitem(NEEDS, "GET /v1/models")
    async with http.get(f"{guarded.url}/v1/models", headers=headers) as response:
        assert response.status == 403


@pytest.mark.parametrize(("route", "need"), NEEDS.items(), ids=NEEDS.keys())
async def test_without_a_key_only_what_is_public_answers(
    guarded: RunningService, http: aiohttp.ClientSession, route: str, need: str
) -> None:
    """All else is 401, and says how to show a key."""
    method, _, path = route.partition(" ")
    path = path.replace("/docs/{path}", "/docs/errors").replace("{path}", "main.js")
    path = path.replace("{name}", "errors")
    url = guarded.url + path.replace("{run}", "run_1").replace("{key}", "0")
    async with http.request(method, url, json={} if method == "POST" else None) as response:
        if need == PUBLIC:
            assert response.status == 200
        else:
            assert response.status == 401
            assert response.headers["WWW-Authenticate"] == "Bearer"
            told = await response.json()
            assert told.get("error", told)["code"] == "unauthenticated"


@pytest.mark.parametrize(
    "credential", ["Bearer x", "Bearer lls_aaaaaaaa_" + "A" * 43 + "_00000000", "Basic eDp5", ""]
)
async def test_what_is_no_key_is_refused(
    guarded: RunningService, http: aiohttp.ClientSession, credential: str
) -> None:
    """Whatever it looks like; it is not in the answer."""
    headers = {"Authorization": credential}
    async with http.get(f"{guarded.url}/v1/models", headers=headers) as response:
        assert response.status == 401
        assert "AAAA" not in await response.text()


async def test_a_scope_allows_what_it_says(
    guarded: RunningService, http: aiohttp.ClientSession, add_client: AddClient
) -> None:
    """A reader reads and starts nothing, over HTTP and on the socket."""
    reader, starter = add_client(scopes=("run:read",)), add_client(scopes=("run:create",))
    await look(guarded)
    async with http.get(f"{guarded.url}/v1/runs", headers=reader) as response:
        assert response.status == 200
    for headers, path in ((reader, "/v1/generate"), (reader, "/v1/runs/run_1/cancel")):
        async with http.post(guarded.url + path, json={"prompt": "x"}, headers=headers) as response:
            assert (response.status, (await response.json())["code"]) == (403, "forbidden")
    async with http.get(f"{guarded.url}/v1/runs", headers=starter) as response:
        assert response.status == 403
    async with http.get(f"{guarded.url}/metrics", headers=starter) as response:
        assert response.status == 403
    async with http.ws_connect(f"{guarded.url}/v1/ws", headers=reader) as ws:
        await ws.receive_json()
        for frame in (
            {"type": "start", "id": "1", "input": {"prompt": "x"}},
            {"type": "cancel", "id": "2", "run": "run_1"},
            {"type": "subscribe", "id": "3", "streams": [{"stream": "a", "run": "run_1"}]},
        ):
            await ws.send_json(frame)
        replies = [await ws.receive_json() for _ in range(3)]

    assert [reply["status"] for reply in replies] == [403, 403, 200]


async def test_anothers_run_is_unknown(
    guarded: RunningService,
    http: aiohttp.ClientSession,
    add_client: AddClient,
    model: ScriptedModel,
) -> None:
    """It is not listed, looked at, followed or cancelled; and goes on."""
    model.scripts = [STALL]
    mine, others = add_client("mine"), add_client("others")
    await look(guarded)
    async with http.post(
        f"{guarded.url}/v1/generate",
        json={"prompt": "x"},
        headers={**mine, "Prefer": "respond-async"},
    ) as response:
        run = (await response.json())["id"]
    for method, path in (
        ("GET", f"/v1/runs/{run}"),
        ("GET", f"/v1/runs/{run}/events"),
        ("POST", f"/v1/runs/{run}/cancel"),
    ):
        async with http.request(method, guarded.url + path, headers=others) as response:
            assert (response.status, (await response.json())["code"]) == (404, "unknown_run")
    async with http.get(f"{guarded.url}/v1/runs", headers=others) as response:
        assert (await response.json())["runs"] == []
    async with http.ws_connect(f"{guarded.url}/v1/ws", headers=others) as ws:
        await ws.receive_json()
        await ws.send_json(
            {"type": "subscribe", "id": "1", "streams": [{"stream": "a", "run": run}]}
        )
        subscribed = await ws.receive_json()
        await ws.send_json({"type": "cancel", "id": "2", "run": run})
        cancelled = await ws.receive_json()
    async with http.get(f"{guarded.url}/v1/runs/{run}", headers=mine) as response:
        assert (await response.json())["state"] == "running"

    assert (subscribed["streams"][0]["status"], cancelled["status"]) == (404, 404)


@pytest.mark.parametrize(("share", "calls"), [("private", 2), ("shared", 1)])
async def test_answers_are_each_clients_own_or_everybodys(
    start_service: StartService,
    http: aiohttp.ClientSession,
    clients_file: Path,
    add_client: AddClient,
    model: ScriptedModel,
    share: str,
    calls: int,
) -> None:
    """As configured: the second client's equal call is another one, or a hit."""
    both = add_client("a"), add_client("b")
    service = await start_service(auth={"clients_file": str(clients_file), "share": share})
    listed = []
    for headers in both:
        async with http.post(
            f"{service.url}/v1/generate", json={"prompt": "x"}, headers=headers
        ) as response:
            assert response.status == 200
        async with http.get(f"{service.url}/v1/cache", headers=headers) as response:
            listed.append((await response.json())["total"])

    assert len(model.calls) == calls
    assert listed == [1, 1]


async def test_a_list_of_models_is_kept_to(
    guarded: RunningService,
    http: aiohttp.ClientSession,
    add_client: AddClient,
    model: ScriptedModel,
) -> None:
    """Asked for by id, by alias, over the old endpoints or on the socket: 403, no call."""
    headers = add_client(models=("other",))
    await look(guarded)
    for path, body in (
        ("/v1/generate", {"prompt": "x"}),
        ("/v1/generate", {"prompt": "x", "model": "fast"}),
        ("/query", {"prompt": "x"}),
        ("/v1/batch", {"requests": [{"recipe": "generate", "input": {"prompt": "x"}}]}),
    ):
        async with http.post(guarded.url + path, json=body, headers=headers) as response:
            assert (response.status, (await response.json())["field"]) == (403, "model")
    async with http.ws_connect(f"{guarded.url}/v1/ws", headers=headers) as ws:
        await ws.receive_json()
        await ws.send_json({"type": "start", "id": "1", "input": {"prompt": "x"}})
        assert (await ws.receive_json())["status"] == 403

    assert model.calls == []


async def test_a_limit_is_a_429_that_says_when(
    guarded: RunningService, http: aiohttp.ClientSession, add_client: AddClient
) -> None:
    """The client's own; another one goes on."""
    limited, other = add_client(limits={"runs_per_second": 0.01}), add_client()
    await look(guarded)
    answers = []
    for headers in (limited, limited, other):
        async with http.post(
            f"{guarded.url}/v1/generate", json={"prompt": "x"}, headers=headers
        ) as response:
            answers.append((response.status, response.headers.get("Retry-After")))

    assert [status for status, _ in answers] == [200, 429, 200]
    assert 0 < int(answers[1][1] or 0) <= 100


async def test_sockets_have_a_limit(
    guarded: RunningService, http: aiohttp.ClientSession, add_client: AddClient
) -> None:
    """One that is closed makes room for another."""
    headers = add_client(limits={"sockets": 1})
    await look(guarded)
    async with http.ws_connect(f"{guarded.url}/v1/ws", headers=headers):
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await http.ws_connect(f"{guarded.url}/v1/ws", headers=headers)
    await until(lambda: not guarded.parts.sockets)
    async with http.ws_connect(f"{guarded.url}/v1/ws", headers=headers) as ws:
        assert (await ws.receive_json())["type"] == "welcome"

    assert caught.value.status == 429


async def test_a_ticket_opens_one_socket(
    guarded: RunningService, http: aiohttp.ClientSession, add_client: AddClient
) -> None:
    """As a page shows it, which can set no header; the second time it is refused with a close."""
    headers = add_client()
    await look(guarded)
    async with http.post(f"{guarded.url}/v1/tickets", headers=headers) as response:
        assert (response.status, response.headers["Cache-Control"]) == (201, "no-store")
        given = await response.json()
    shown: dict[str, Any] = {
        "protocols": (PROTOCOL, given["subprotocol"]),
        "origin": guarded.url,
    }
    async with http.ws_connect(f"{guarded.url}/v1/ws", **shown) as ws:
        assert ws.protocol == PROTOCOL
        await ws.receive_json()
        await ws.send_json({"type": "start", "id": "1", "input": {"prompt": "x"}})
        assert (await ws.receive_json())["status"] == 202
    async with http.ws_connect(f"{guarded.url}/v1/ws", **shown) as ws:
        message = await ws.receive()

    assert given["subprotocol"] == subprotocol(given["ticket"])
    assert (message.type, message.data, message.extra) == (
        aiohttp.WSMsgType.CLOSE, 4401, "unauthenticated"
    )  # fmt: skip


async def test_a_ticket_opens_one_stream(
    guarded: RunningService, http: aiohttp.ClientSession, add_client: AddClient
) -> None:
    """In the query, as EventSource has to; it starts nothing."""
    headers = add_client()
    await look(guarded)
    async with http.post(
        f"{guarded.url}/v1/generate", json={"prompt": "x"}, headers=headers
    ) as response:
        run = response.headers["X-Run-Id"]
    async with http.post(f"{guarded.url}/v1/tickets", headers=headers) as response:
        ticket = (await response.json())["ticket"]
    events = f"{guarded.url}/v1/runs/{run}/events?ticket={ticket}"
    async with http.post(f"{guarded.url}/v1/generate?ticket={ticket}", json={}) as response:
        assert response.status == 401
    async with http.get(events, headers=SSE) as response:
        assert response.status == 200
        assert b"run.completed" in await response.read()
    async with http.get(events, headers=SSE) as response:
        assert response.status == 401


async def test_where_no_keys_are_asked_for_a_ticket_is_one_all_the_same(
    service: RunningService, http: aiohttp.ClientSession
) -> None:
    """So that a page need not know."""
    async with http.post(f"{service.url}/v1/tickets") as response:
        given = await response.json()
    async with http.ws_connect(
        f"{service.url}/v1/ws", protocols=(PROTOCOL, given["subprotocol"])
    ) as ws:
        assert (await ws.receive_json())["type"] == "welcome"


async def test_a_revoked_key_ends_what_is_open(
    guarded: RunningService,
    http: aiohttp.ClientSession,
    add_client: AddClient,
    revoke: Callable[[str], None],
    model: ScriptedModel,
) -> None:
    """Stream and socket, without a terminal event; another client's go on."""
    model.scripts = [STALL, STALL, STALL]
    gone, stays = add_client("gone"), add_client("stays")
    await look(guarded)
    asked = {"prompt": "x", "cache": {"mode": "bypass"}}
    async with (
        http.post(f"{guarded.url}/v1/generate", json=asked, headers={**gone, **SSE}) as stream,
        http.post(f"{guarded.url}/v1/generate", json=asked, headers={**stays, **SSE}) as other,
        http.ws_connect(f"{guarded.url}/v1/ws", headers=gone) as ws,
    ):
        await ws.receive_json()
        await ws.send_json({"type": "start", "id": "1", "input": asked})
        await ws.receive_json()
        revoke("gone")
        await look(guarded)
        with pytest.raises(aiohttp.ClientPayloadError):
            await stream.read()
        frames = [message.json() async for message in ws]
        assert (other.content.is_eof(), other.content.exception()) == (False, None)

    assert ws.close_code == 4401
    assert frames[-1] == {"type": "goaway", "reason": "unauthenticated"}
    assert not any(frame.get("event", {}).get("type") == "run.cancelled" for frame in frames)


async def test_a_key_made_while_the_service_runs_closes_it(
    start_service: StartService,
    http: aiohttp.ClientSession,
    clients_file: Path,
    add_client: AddClient,
) -> None:
    """From then on keys are asked for, unless the operator says otherwise."""
    service = await start_service(auth={"clients_file": str(clients_file)})
    run, _ = await start_async(http, service.url, prompt="x")
    await follow(http, service.url, run)
    headers = add_client()
    await look(service)
    async with http.get(f"{service.url}/v1/runs") as response:
        assert response.status == 401
    async with http.get(f"{service.url}/v1/runs", headers=headers) as response:
        assert (await response.json())["runs"] == []


async def test_equal_idempotency_keys_of_two_clients_are_two(
    guarded: RunningService, http: aiohttp.ClientSession, add_client: AddClient
) -> None:
    """Each gets its own run, and again by the same key."""
    runs = []
    both = add_client("a"), add_client("b")
    await look(guarded)
    for headers in (*both, *both):
        async with http.post(
            f"{guarded.url}/v1/generate",
            json={"prompt": "x"},
            headers={**headers, "Idempotency-Key": "1"},
        ) as response:
            runs.append(response.headers["X-Run-Id"])

    assert runs[0] != runs[1]
    assert runs[2:] == runs[:2]


async def test_the_log_names_no_key(
    lines: Any, guarded: RunningService, http: aiohttp.ClientSession, add_client: AddClient
) -> None:
    """Neither keys nor tickets, of requests that were admitted or refused."""
    headers = add_client()
    key = headers["Authorization"].removeprefix("Bearer ")
    await look(guarded)
    async with http.post(f"{guarded.url}/v1/tickets", headers=headers) as response:
        ticket = (await response.json())["ticket"]
    for wrong in (key, key[:-1] + ("0" if key[-1] != "0" else "1")):
        shown = {"Authorization": f"Bearer {wrong}"}
        async with http.get(f"{guarded.url}/v1/models?ticket={ticket}", headers=shown) as response:
            told = await response.text()
    async with http.get(
        f"{guarded.url}/metrics", headers=add_client(scopes=("admin",))
    ) as response:
        told += await response.text()
    said = json.dumps(lines())

    assert "/v1/models" in said
    for secret in (key, key[13:-9], ticket):
        assert secret not in said + told


async def test_fifty_streams_end_with_their_key(
    guarded: RunningService,
    http: aiohttp.ClientSession,
    add_client: AddClient,
    revoke: Callable[[str], None],
    model: ScriptedModel,
) -> None:
    """Each is broken off, and nothing that has ended is still remembered as open."""
    model.scripts = [STALL] * 50
    headers = {**add_client("gone"), **SSE}
    await look(guarded)
    url = f"{guarded.url}/v1/generate"
    asked = [{"prompt": f"{number}"} for number in range(50)]
    streams = await asyncio.gather(*(http.post(url, json=body, headers=headers) for body in asked))
    presence = guarded.parts.access.presence
    before = len(presence)
    revoke("gone")
    await look(guarded)
    ends = await asyncio.gather(*(each.read() for each in streams), return_exceptions=True)
    await until(lambda: not len(presence))

    assert before == 50
    assert {type(end) for end in ends} == {aiohttp.ClientPayloadError}


async def test_usage_is_ones_own_and_an_admins_everybodys(
    start_service: StartService,
    http: aiohttp.ClientSession,
    clients_file: Path,
    add_client: AddClient,
) -> None:
    """Each client's call is told to that client and to the admin."""
    both = add_client("a"), add_client("b")
    admin = add_client("admin", scopes=("admin",))
    service = await start_service(
        auth={"clients_file": str(clients_file)}, history={"enabled": True}
    )
    for headers in both:
        async with http.post(
            f"{service.url}/v1/generate", json={"prompt": "x"}, headers=headers
        ) as response:
            assert response.status == 200
    told = []
    for headers in (*both, admin):
        url = f"{service.url}/v1/usage?group_by=client"
        async with http.get(url, headers=headers) as response:
            told.append([(group["calls"]) for group in (await response.json())["groups"]])

    assert told == [[1], [1], [1, 1]]


async def test_the_past_is_ones_own(
    start_service: StartService,
    http: aiohttp.ClientSession,
    clients_file: Path,
    add_client: AddClient,
) -> None:
    """No list has another client's run, not even an admin's, and nobody else can look at it."""
    ann, admin = add_client("ann"), add_client("admin", scopes=("admin",))
    service = await start_service(
        auth={"clients_file": str(clients_file)}, history={"enabled": True}
    )
    url = f"{service.url}/v1/generate"
    async with http.post(url, json={"prompt": "x"}, headers=ann) as response:
        run = response.headers["X-Run-Id"]
    told = []
    for headers in (ann, admin):
        async with http.get(f"{service.url}/v1/history", headers=headers) as response:
            listed = [line["id"] for line in (await response.json())["runs"]]
        async with http.get(f"{service.url}/v1/history/{run}", headers=headers) as response:
            told.append((listed, response.status))

    assert told == [([run], 200), ([], 404)]


async def test_a_socket_that_does_not_read_ends_with_its_key(
    start_service: StartService,
    clients_file: Path,
    add_client: AddClient,
    revoke: Callable[[str], None],
    model: ScriptedModel,
) -> None:
    """Within seconds, though nothing can be said to it."""
    headers = add_client("gone")
    model.scripts = [Script(chunks=("x" * 1000,) * 3000, burst=True)]
    service = await start_service(
        auth={"clients_file": str(clients_file)}, server={"send_buffer_bytes": 4096}
    )
    connector = aiohttp.TCPConnector(socket_factory=small_socket)
    async with (
        aiohttp.ClientSession(connector=connector) as http,
        http.ws_connect(f"{service.url}/v1/ws", headers=headers) as ws,
    ):
        await ws.send_json({"type": "start", "id": "1", "input": {"prompt": "x"}})
        await until(lambda: model.calls and service.parts.registry.live == 0)
        revoke("gone")
        await look(service)
        async with asyncio.timeout(5):
            await service.parts.sockets.ended()


async def test_a_socket_goes_by_what_its_client_may_now(
    guarded: RunningService,
    http: aiohttp.ClientSession,
    add_client: AddClient,
    clients_file: Path,
) -> None:
    """Not by what it might when it was opened."""
    headers = add_client("x")
    await look(guarded)
    async with http.ws_connect(f"{guarded.url}/v1/ws", headers=headers) as ws:
        await ws.receive_json()
        with editing(clients_file) as clients:
            for client_id, record in clients.items():
                clients[client_id] = record.model_copy(update={"models": ("other",)})
        await look(guarded)
        await ws.send_json({"type": "start", "id": "1", "input": {"prompt": "x"}})
        assert (await ws.receive_json())["status"] == 403


async def test_the_first_client_ends_sockets_without_a_key(
    start_service: StartService,
    http: aiohttp.ClientSession,
    clients_file: Path,
    add_client: AddClient,
) -> None:
    """They were opened when nobody needed one."""
    service = await start_service(auth={"clients_file": str(clients_file)})
    async with http.ws_connect(f"{service.url}/v1/ws") as ws:
        await ws.receive_json()
        add_client()
        await look(service)
        assert (await ws.receive_json())["type"] == "goaway"
        await ws.receive()

    assert ws.close_code == 4401
