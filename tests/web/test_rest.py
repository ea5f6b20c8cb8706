"""Plain HTTP: answers, 202, lists, snapshots, cancel, idempotency."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from llm_stream.errors import UpstreamRejected
from llm_stream.events import decoded
from llm_stream.testing import Fault, Script, ScriptedModel, words
from llm_stream.testing.service import RunningService

from ..conftest import StartService
from ..wire import JSON, SSE, ended, follow, speaking, start_async, turns


async def post(
    http: aiohttp.ClientSession, service: RunningService, body: Any, **headers: Any
) -> Any:
    """POST /v1/generate: status, headers, decoded body."""
    async with http.post(f"{service.url}/v1/generate", json=body, headers=headers) as response:
        return response.status, response.headers, await response.json()


async def get(
    http: aiohttp.ClientSession, service: RunningService, path: Any, **kwargs: Any
) -> Any:
    """GET a path: status and decoded body."""
    async with http.get(f"{service.url}{path}", **kwargs) as response:
        return response.status, await response.json()


async def test_a_prompt_is_answered(
    service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """JSON in, one JSON object out, with usage, timings, cache state and ids."""
    status, headers, body = await post(http, service, {"prompt": "Plan a shop."})

    assert status == 200
    assert headers["X-Run-Id"] == body["id"]
    assert headers["Cache-Status"].startswith("llm-stream; fwd=miss")
    assert body["text"] == "Hello, world."
    assert body["recipe"] == "generate"
    assert body["model"] == "scripted"
    assert body["finish_reason"] == "stop"
    assert body["usage"] == {"input_tokens": 3, "output_tokens": 4}
    assert body["cached"] is False
    assert body["attempts"] == 1
    assert set(body["timings"]) == {"queued_ms", "first_token_ms", "total_ms"}
    assert model.calls[0].prompt == "Plan a shop."


async def test_messages_system_options_schema_reach_the_model(
    service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """Every field of a request arrives where it belongs."""
    model.scripts = [Script(chunks=('{"ok":true}',), reasoning=("hm",))]
    status, _, body = await post(
        http,
        service,
        {
            "messages": [
                {"role": "user", "content": "Hi", "attachments": [
                    {"type": "image/png", "data": "cG5n"}]},
                {"role": "assistant", "content": "Hello."},
                {"role": "user", "content": "Go on."},
            ],
            "system": "Be brief.",
            "options": {"temperature": 0.5},
            "schema": {"type": "object"},
            "model": "fast",
        },
    )  # fmt: skip

    assert status == 200
    assert body["data"] == {"ok": True}
    assert body["reasoning"] == "hm"
    call = model.calls[0]
    assert [m.role for m in call.messages] == ["system", "user", "assistant", "user"]
    assert call.options == {"temperature": 0.5}
    assert call.schema == {"type": "object"}


async def test_a_template_makes_the_prompt(
    service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """Name a template, give values: the rendered prompt is what the model sees."""
    status, _, body = await post(
        http, service, {"template": "summarize", "params": {"sentences": 2}, "prompt": "The shop."}
    )

    assert status == 200
    assert "at most 2 sentences" in model.calls[0].prompt
    assert "The shop." in model.calls[0].prompt
    _, run = await get(http, service, f"/v1/runs/{body['id']}")
    assert run["template"].startswith("summarize@")


async def test_a_failed_run_is_a_problem_with_a_status(
    service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """The JSON caller gets the same problem object that the log's last event carries."""
    model.scripts = [Script(fault=Fault(at=2, error=ConnectionError("reset")))]
    status, headers, body = await post(http, service, {"prompt": "x"})

    assert status == 502
    assert headers["Content-Type"] == "application/problem+json"
    assert body["code"] == "upstream_failed"
    assert body["retryable"] is True
    events = await follow(http, service.url, body["run"])
    assert events[-1].payload["error"] == body


async def test_a_detached_run_goes_on_without_readers(
    service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """202, Location, and the run completes although nobody ever reads it."""
    run, body = await start_async(http, service.url, prompt="x")
    assert body["state"] in {"queued", "running"}
    while service.parts.registry.find(run).state != "completed":
        await asyncio.sleep(0)

    status, snapshot = await get(http, service, f"/v1/runs/{run}")

    assert status == 200
    assert snapshot["text"] == "Hello, world."
    assert snapshot["state"] == "completed"
    assert snapshot["cursor"] == "1-7"


async def test_runs_are_listed_newest_first(
    service: RunningService, http: aiohttp.ClientSession
) -> None:
    """The list has the newest first, can be limited, and filtered by state and recipe."""
    ids = [(await post(http, service, {"prompt": f"{n}"}))[2]["id"] for n in range(3)]

    _, everything = await get(http, service, "/v1/runs")
    _, two = await get(http, service, "/v1/runs?limit=2&state=completed")
    _, none = await get(http, service, "/v1/runs?state=failed")
    _, generated = await get(http, service, "/v1/runs?recipe=generate")
    _, reasoned = await get(http, service, "/v1/runs?recipe=reason")

    assert (generated["total"], reasoned["total"]) == (3, 0)
    assert [run["id"] for run in everything["runs"]] == ids[::-1]
    assert [run["id"] for run in two["runs"]] == ids[:0:-1]
    assert two["total"] == 3
    assert none["runs"] == []


async def test_events_can_be_paged(service: RunningService, http: aiohttp.ClientSession) -> None:
    """JSON pages of the log, each going on behind the cursor of the one before."""
    _, _, body = await post(http, service, {"prompt": "x"})
    path = f"/v1/runs/{body['id']}/events"
    _, first = await get(http, service, f"{path}?limit=3")
    _, second = await get(http, service, f"{path}?after={first['cursor']}&limit=100")
    _, third = await get(http, service, f"{path}?after={second['cursor']}")

    assert (first["more"], first["ended"]) == (True, False)
    assert (second["more"], second["ended"]) == (False, True)
    assert third["events"] == []
    ids = [event["id"] for event in first["events"] + second["events"]]
    assert ids == [f"1-{n}" for n in range(1, 8)]


async def test_cancel_ends_a_run_and_is_idempotent(
    service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """The first cancel ends it; the second says the same; the upstream is closed."""
    model.scripts = [Script(fault=Fault(at=1, stall=True))]
    run, _ = await start_async(http, service.url, prompt="x")
    for _ in range(2):
        async with http.post(f"{service.url}/v1/runs/{run}/cancel") as response:
            assert (await response.json())["state"] == "cancelled"

    events = await follow(http, service.url, run)

    assert events[-1].payload["type"] == "run.cancelled"
    assert events[-1].payload["reason"] == "requested"
    assert model.calls[0].closed.is_set()


async def test_cancelling_twice_takes_nobody_elses_claim(
    service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """Two callers share a run; one cancels twice and the run goes on for the other."""
    model.scripts = [Script(fault=Fault(at=1, stall=True))]
    claims = []
    for _ in range(2):
        async with http.post(
            f"{service.url}/v1/generate",
            json={"prompt": "x"},
            headers={"Prefer": "respond-async"},
        ) as response:
            claims.append(response.headers["X-Run-Claim"])
            run = (await response.json())["id"]
    cancel = f"{service.url}/v1/runs/{run}/cancel"
    for claim in (claims[0], claims[0], None):
        async with http.post(cancel, params={"claim": claim} if claim else {}) as response:
            said = await response.json()
        # Without a claim one speaks for the only caller left.
        assert said["shared"] == (claim is not None)

    await ended(service.parts.registry.find(run))


async def test_cancelling_a_finished_run_says_how_it_ended(
    service: RunningService, http: aiohttp.ClientSession
) -> None:
    """A cancel that comes too late changes nothing and claims nothing."""
    _, _, body = await post(http, service, {"prompt": "x"})
    for _ in range(2):
        async with http.post(f"{service.url}/v1/runs/{body['id']}/cancel") as response:
            assert (await response.json())["state"] == "completed"


async def test_an_answer_may_be_null(
    service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """With a schema that allows it, null is data, and an empty schema is a schema."""
    model.scripts = [Script(chunks=("null",))]
    for schema in ({"type": "null"}, {}):
        _, _, body = await post(http, service, {"prompt": "x", "schema": schema})
        assert body["data"] is None


async def test_waiting_for_a_run_that_is_cancelled_is_a_problem(
    service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """A JSON caller learns that somebody ended the run."""
    model.scripts = [Script(fault=Fault(at=1, stall=True))]
    waiting = asyncio.create_task(post(http, service, {"prompt": "x"}))
    await speaking(model)
    run = next(service.parts.registry.newest())
    run.cancel("requested")

    status, _, body = await waiting

    assert status == 409
    assert body["code"] == "run_cancelled"
    assert body["run"] == run.id


async def test_a_client_that_leaves_its_json_call_abandons_the_run(
    service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """Only that connection could have had the answer, so the model is closed at once."""
    model.scripts = [Script(fault=Fault(at=1, stall=True))]
    waiting = asyncio.create_task(post(http, service, {"prompt": "x"}))
    await speaking(model)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    run = next(service.parts.registry.newest())
    await ended(run)

    assert decoded(run.events()[-1])["reason"] == "abandoned"
    assert model.calls[0].closed.is_set()


async def test_fifty_equal_idempotent_requests_are_one_run(
    service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """The same key and body, 50 times at once, even where runs are not shared."""
    body = {"prompt": "x", "cache": {"mode": "bypass"}}
    answers = await asyncio.gather(
        *(post(http, service, body, **{"Idempotency-Key": "k1"}) for _ in range(50))
    )

    assert len({answer["id"] for _, _, answer in answers}) == 1
    assert len(model.calls) == 1


async def test_a_lost_call_can_be_asked_again_by_its_key(
    service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """With a key the run outlives its connection, and the repeated call gets its answer."""
    model.scripts = [Script(chunks=words(50), delay_seconds=0.001)]
    key = {"Idempotency-Key": "k1"}
    lost = asyncio.create_task(post(http, service, {"prompt": "x"}, **key))
    await speaking(model)
    lost.cancel()
    await asyncio.gather(lost, return_exceptions=True)

    status, _, body = await post(http, service, {"prompt": "x"}, **key)

    assert status == 200
    assert body["text"] == "".join(words(50))
    assert len(model.calls) == 1


async def test_a_cancelled_run_is_started_anew_by_its_key(
    service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """A key whose run was cancelled does not answer with the cancellation for ever."""
    model.scripts = [Script(fault=Fault(at=1, stall=True)), Script()]
    key = {"Idempotency-Key": "k1"}
    async with http.post(
        f"{service.url}/v1/generate", json={"prompt": "x"},
        headers={"Prefer": "respond-async", **key},
    ) as response:  # fmt: skip
        run = (await response.json())["id"]
    async with http.post(f"{service.url}/v1/runs/{run}/cancel"):
        pass
    await follow(http, service.url, run)

    status, _, body = await post(http, service, {"prompt": "x"}, **key)

    assert status == 200
    assert body["id"] != run


async def test_an_idempotency_key_with_another_body_conflicts(
    service: RunningService, http: aiohttp.ClientSession
) -> None:
    """The same key for something else is 422."""
    await post(http, service, {"prompt": "x"}, **{"Idempotency-Key": "k1"})
    status, _, body = await post(http, service, {"prompt": "y"}, **{"Idempotency-Key": "k1"})

    assert status == 422
    assert body["code"] == "idempotency_conflict"


async def test_two_hundred_equal_requests_are_one_call(
    start_service: StartService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """Equal requests in flight share one run: one upstream call, 200 equal answers."""
    service = await start_service()
    model.scripts = [Script(chunks=words(20))]
    answers = await asyncio.gather(*(post(http, service, {"prompt": "same"}) for _ in range(200)))

    assert len(model.calls) < 200
    assert {answer["text"] for _, _, answer in answers} == {"".join(words(20))}
    joined = [h for _, h, _ in answers if "collapsed" in h["Cache-Status"]]
    assert joined


async def test_bypass_runs_are_not_shared(
    service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """Cache mode `bypass` always asks the model."""
    body = {"prompt": "x", "cache": {"mode": "bypass"}}
    await asyncio.gather(*(post(http, service, body) for _ in range(3)))

    assert len(model.calls) == 3


async def test_too_many_runs_are_refused_with_advice(
    start_service: StartService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """Beyond slots and queue: 429, retryable, Retry-After."""
    service = await start_service(limits={"concurrent_runs": 1, "queued_runs": 1})
    model.scripts = [Script(fault=Fault(stall=True))]
    for number in range(2):
        await start_async(http, service.url, prompt=str(number))
    status, headers, body = await post(http, service, {"prompt": "third"})

    assert status == 429
    assert body["code"] == "too_many_runs"
    assert headers["Retry-After"] == "1"


async def test_a_queued_run_says_its_position(
    start_service: StartService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """A run behind a busy service is queued, visibly, and goes on when there is room."""
    service = await start_service(limits={"concurrent_runs": 1})
    model.scripts = [Script(fault=Fault(stall=True)), Script()]
    first, _ = await start_async(http, service.url, prompt="1")
    second, _ = await start_async(http, service.url, prompt="2")
    await turns()
    _, snapshot = await get(http, service, f"/v1/runs/{second}")
    assert snapshot["state"] == "queued"
    async with http.post(f"{service.url}/v1/runs/{first}/cancel"):
        pass

    events = await follow(http, service.url, second)

    assert events[1].payload == events[1].payload | {"type": "run.queued", "position": 1}
    assert events[-1].payload["type"] == "run.completed"


BAD = [
    ({"prompt": "x", "foo": 1}, 400, "unknown_field", "foo"),
    ({"prompt": 5}, 400, "invalid_field", "prompt"),
    ({"prompt": "  \n"}, 400, "empty_prompt", "prompt"),
    ({}, 400, "missing_field", "prompt"),
    ({"prompt": "x" * 1_000_001}, 413, "payload_too_large", "prompt"),
    ({"prompt": "x", "model": "nope"}, 404, "unknown_model", "model"),
    ({"prompt": "x", "fallback_models": ["fast", "nope"]}, 404, "unknown_model",
     "fallback_models.1"),
    ({"template": "nope"}, 404, "unknown_template", "template"),
    ({"template": "../../etc/passwd"}, 404, "unknown_template", "template"),
    ({"template": "summarize"}, 400, "missing_variable", "params.input"),
    ({"template": "summarize", "prompt": "x", "params": {"no": "x"}}, 400, "unknown_variable",
     "params.no"),
    ({"template": "summarize", "params": {"sentences": [1]}}, 400, "invalid_field",
     "params.sentences.str"),
    ({"prompt": "x", "params": {"a": "b"}}, 400, "invalid_field", "params"),
    ({"prompt": "x", "options": {"temperature": 9}}, 400, "invalid_option", "options.temperature"),
    ({"prompt": "x", "options": {"top_k": 9}}, 400, "invalid_option", "options.top_k"),
    ({"prompt": "x", "messages": [{"role": "user", "content": "y"}]}, 400, "invalid_field",
     "messages"),
    ({"messages": []}, 400, "invalid_field", "messages"),
    ({"messages": [{"role": "user", "content": ""}]}, 400, "empty_prompt", "messages"),
    ({"messages": [{"role": "robot", "content": "y"}]}, 400, "invalid_field", "messages.0.role"),
    ({"messages": [{"role": "assistant", "content": "y"}]}, 400, "invalid_field",
     "messages.0.role"),
    ({"messages": [{"role": "user"}]}, 400, "missing_field", "messages.0.content"),
    ({"prompt": "x", "attachments": [{"type": "image/png", "data": "@@"}]}, 400, "invalid_field",
     "attachments.0.data"),
    ({"prompt": "x", "attachments": [{"type": "image/png", "url": "http://127.0.0.1/"}]}, 400,
     "missing_field", "attachments.0.data"),
    ({"prompt": "x", "attachments": [{"type": "video/mp4", "data": "eA=="}]}, 400,
     "unsupported_by_model", "model"),
    ({"prompt": "x", "attachments": [{"type": "image/png", "data": "eA=="}] * 17}, 413,
     "payload_too_large", "attachments"),
    ({"prompt": "x", "schema": {"type": 7}}, 400, "invalid_field", "schema"),
    ({"prompt": "x", "schema": {"$ref": "http://127.0.0.1/s.json"}}, 400, "invalid_field",
     "schema"),
    ({"prompt": "x", "schema": {"items": [{"$dynamicRef": "//127.0.0.1/s"}]}}, 400,
     "invalid_field", "schema"),
    ({"prompt": "x", "schema": {"$ref": "#/$defs/none"}}, 400, "invalid_field", "schema"),
    ({"prompt": "x", "attachments": [{"type": "image/png", "data": "\u00e9"}]}, 400,
     "invalid_field", "attachments.0.data"),
    ({"prompt": "x", "schema": {"$ref": "#/title/x", "title": "t"}}, 400, "invalid_field",
     "schema"),
    ({"prompt": "x", "schema": {"description": "y" * 70_000}}, 413, "payload_too_large", "schema"),
    ({"prompt": "x", "timeouts": {"idle_seconds": 0}}, 400, "invalid_field",
     "timeouts.idle_seconds"),
    ({"prompt": "x", "on_disconnect": "explode"}, 400, "invalid_field", "on_disconnect"),
    ({"prompt": "x", "cache": {"mode": "sometimes"}}, 400, "invalid_field", "cache.mode"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "status", "code", "field"), BAD, ids=lambda v: str(v)[:40])
async def test_bad_input_is_a_problem_with_its_field(
    service: RunningService,
    http: aiohttp.ClientSession,
    model: ScriptedModel,
    body: Any,
    status: Any,
    code: Any,
    field: Any,
) -> None:
    """A stable code, the field at fault, a sentence; no run exists and no model was asked."""
    got, headers, problem = await post(http, service, body)

    assert (got, problem["code"], problem["field"]) == (status, code, field)
    assert headers["Content-Type"] == "application/problem+json"
    assert len(problem["detail"]) > 15
    assert problem["request"] == headers["X-Request-Id"]
    assert model.calls == []
    assert list(service.parts.registry.newest()) == []


@pytest.mark.parametrize(
    "data",
    [b"", b"nope", b"[1]", b'"x"', b"{", b'{"prompt": NaN}', b'{"prompt": "\xff"}',
     b'\xef\xbb\xbf{"prompt":"x"}', b'{"prompt":"\\ud800"}', b'{"a":' * 70 + b"1" + b"}" * 70,
     b"[" * 100_000],
    ids=lambda data: repr(data[:20]),
)  # fmt: skip
async def test_what_is_not_a_json_object_is_malformed(
    service: RunningService, http: aiohttp.ClientSession, data: Any
) -> None:
    """NaN, broken UTF-8, a BOM, surrogates, deep nesting and non-objects are 400."""
    async with http.post(f"{service.url}/v1/generate", data=data, headers=JSON) as response:
        assert response.status == 400
        assert (await response.json())["code"] == "malformed_request"


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Content-Type": "text/plain"}, 415, "unsupported_media_type"),
        ({"Content-Type": "application/json", "Content-Encoding": "gzip"}, 415,
         "unsupported_media_type"),
        ({"Content-Type": "application/json", "Accept": "image/png"}, 406, "not_acceptable"),
        ({"Content-Type": "application/json", "Origin": "http://evil.example"}, 403,
         "origin_refused"),
        ({"Content-Type": "application/json", "Idempotency-Key": "k" * 256}, 400, "invalid_field"),
    ],
)  # fmt: skip
async def test_headers_that_do_not_fit_are_refused(
    service: RunningService, http: aiohttp.ClientSession, headers: Any, status: Any, code: Any
) -> None:
    """Wrong content type, compression, Accept, origin and key are told apart."""
    async with http.post(
        f"{service.url}/v1/generate", data=b'{"prompt":"x"}', headers=headers
    ) as response:
        assert (response.status, (await response.json())["code"]) == (status, code)


async def test_a_page_of_the_same_host_may_call(
    service: RunningService, http: aiohttp.ClientSession
) -> None:
    """An Origin that is this very host is welcome."""
    status, _, _ = await post(http, service, {"prompt": "x"}, Origin=service.url)

    assert status == 200


async def test_a_body_over_the_limit_is_413(
    start_service: StartService, http: aiohttp.ClientSession
) -> None:
    """The limit holds before anything is parsed."""
    service = await start_service(server={"body_bytes": 2000})
    status, _, body = await post(http, service, {"prompt": "x" * 3000})

    assert (status, body["code"]) == (413, "payload_too_large")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/runs/run_nope", 404, "unknown_run"),
        ("/v1/runs/run_nope/events", 404, "unknown_run"),
        ("/v1/runs?state=done", 400, "invalid_field"),
        ("/v1/runs?limit=0", 400, "invalid_field"),
        ("/v1/runs?limit=x", 400, "invalid_field"),
        ("/v1/runs?limit=1001", 400, "invalid_field"),
        ("/v1/runs?limit=" + "0" * 5000, 400, "invalid_field"),
        ("/v1/templates/nope", 404, "unknown_template"),
        ("/nothing/here", 404, "not_found"),
        ("/static/../config.toml", 404, "not_found"),
        ("/static/%2e%2e/config.toml", 404, "not_found"),
        ("/v1/generate", 405, "method_not_allowed"),
        ("/v1/ws", 400, "invalid_field"),
    ],
)
async def test_wrong_paths_are_problems(
    service: RunningService, http: aiohttp.ClientSession, path: Any, status: Any, code: Any
) -> None:
    """Unknown runs, templates, paths and methods each have their code."""
    got, body = await get(http, service, path)

    assert (got, body["code"]) == (status, code)


@pytest.mark.parametrize("accept", ["text/event-stream", "application/json"])
async def test_a_bad_cursor_is_400_on_both_forms(
    service: RunningService, http: aiohttp.ClientSession, accept: Any
) -> None:
    """A cursor never issued is refused, streamed or paged."""
    _, _, body = await post(http, service, {"prompt": "x"})
    status, problem = await get(
        http, service, f"/v1/runs/{body['id']}/events?after=1-99", headers={"Accept": accept}
    )

    assert (status, problem["code"], problem["field"]) == (400, "invalid_cursor", "after")


async def test_an_expired_run_is_410(
    start_service: StartService, http: aiohttp.ClientSession
) -> None:
    """A run whose events are no longer kept is told apart from one that never was."""
    service = await start_service(runs={"retention_bytes": 1})
    _, _, body = await post(http, service, {"prompt": "x"})
    status, problem = await get(http, service, f"/v1/runs/{body['id']}")

    assert (status, problem["code"]) == (410, "run_expired")


async def test_a_bug_is_a_problem_without_a_traceback(
    service: RunningService,
    http: aiohttp.ClientSession,
    model: ScriptedModel,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An unforeseen exception is `internal_error`; nothing of it is shown."""

    def explode(*_args: Any, **_kwargs: Any) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(service.parts.launcher, "launch", explode)
    status, _, body = await post(http, service, {"prompt": "x"})

    assert (status, body["code"]) == (500, "internal_error")
    assert "secret" not in json.dumps(body)


async def test_a_request_id_of_the_client_is_kept(
    service: RunningService, http: aiohttp.ClientSession
) -> None:
    """A plain X-Request-Id is echoed; anything else is replaced."""
    _, kept, _ = await post(http, service, {"prompt": "x"}, **{"X-Request-Id": "abc-1"})
    _, replaced, _ = await post(http, service, {"prompt": "x"}, **{"X-Request-Id": "a b"})

    assert kept["X-Request-Id"] == "abc-1"
    assert replaced["X-Request-Id"].startswith("req_")


async def test_the_model_that_answered_is_named(
    start_service: StartService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """After a fallback the answer names the fallback and counts both attempts."""
    model.scripts = [Script(fault=Fault(error=UpstreamRejected("400")))]
    service = await start_service(ScriptedModel("other"))
    _, _, body = await post(http, service, {"prompt": "x", "fallback_models": ["other"]})

    assert body["model"] == "other"
    assert body["attempts"] == 2


__all__ = ["SSE"]


async def test_an_overloaded_service_goes_on_with_what_it_has(
    start_service: StartService,
    http: aiohttp.ClientSession,
    model: ScriptedModel,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """New runs are 503 at once; hits, joined calls and what has begun are not touched."""
    monkeypatch.setattr("llm_stream.engine.load.FEW_RUNS", 1)
    service = await start_service(limits={"late_seconds": 1}, telemetry={"loop_lag_seconds": 3600})
    url = f"{service.url}/v1/generate"
    async with http.post(url, json={"prompt": "kept"}) as response:
        assert response.status == 200
    model.scripts = [Script(chunks=words(3), fault=Fault(at=1, stall=True))]
    run, _ = await start_async(http, service.url, prompt="begun")
    for _ in range(2):
        service.parts.load.observe(10)
    answers = {}
    for prompt in ("kept", "begun", "new"):
        async with http.post(
            url, json={"prompt": prompt}, headers={"Prefer": "respond-async"}
        ) as response:
            answers[prompt] = (response.status, response.headers.get("Retry-After"))
            body = await response.json()

    assert answers == {"kept": (202, None), "begun": (202, None), "new": (503, "1")}
    assert body["code"] == "overloaded"
    assert service.parts.registry.find(run).state == "running"


async def test_who_asks_again_by_its_key_has_one_claim(
    service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """Its one cancel ends the run, however often it has asked."""
    model.scripts = [Script(chunks=words(3), fault=Fault(at=1, stall=True))]
    headers = {"Idempotency-Key": "again", "Prefer": "respond-async"}
    claims, run = set(), ""
    for _ in range(2):
        async with http.post(
            f"{service.url}/v1/generate", json={"prompt": "x"}, headers=headers
        ) as response:
            claims.add(response.headers["X-Run-Claim"])
            run = response.headers["X-Run-Id"]
    (claim,) = claims
    url = f"{service.url}/v1/runs/{run}/cancel"
    async with http.post(url, params={"claim": claim}) as response:
        told = await response.json()

    assert told["shared"] is False
