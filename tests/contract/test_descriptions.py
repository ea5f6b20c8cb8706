"""What a live service sends is what /asyncapi.json says: every event, frame and notice."""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import aiohttp
import jsonschema_rs
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from llm_stream.testing import Fault, Script, ScriptedModel
from llm_stream.testing.scripted import Call
from llm_stream.testing.service import RunningService
from llm_stream.web import asyncapi, openapi

from ..conftest import StartService
from ..wire import SSE, WsClient, sse_events

SPECS: Final = Path(__file__).parents[2] / "artifacts/node/node_modules/@asyncapi/specs/schemas"
DOCUMENT: Final[dict[str, Any]] = json.loads(asyncapi.document())
MESSAGES: Final[dict[str, Any]] = DOCUMENT["components"]["messages"]

JUDGED: Final = {"reason": "It is.", "evidence": [], "rating": "met", "missing": []}
TASK: Final = {
    "id": "a", "title": "a", "description": "d", "type": "task", "depends_on": [],
    "acceptance_criteria": ["works"], "deliverables": [],
    "effort": {"low": 1, "likely": 2, "high": 4, "unit": "hours"}, "complexity": "low",
    "priority": "high", "risk": "", "expand": {"recommended": False, "hint": ""}, "covers": [],
}  # fmt: skip
STARTS: Final[dict[str, dict[str, Any]]] = {
    "generate": {"prompt": "x"},
    "evaluate": {
        "stage_name": "design",
        "criteria": ["It is"],
        "documents": [{"id": "notes", "text": "It is."}],
    },
    "breakdown": {"task": "Build a shop"},
    "reason": {"question": "Build or buy?", "strategy": "critique"},
    "batch": {
        "requests": [{"input": {"prompt": "y"}}, {"input": {"prompt": "z", "model": "broken"}}]
    },
}
NEVER: Final = {"tool.returned", "gap"}
"""Tools are the caller's, so none returns; a gap needs a Redis that has lost something."""


def strict(schema: Any) -> Any:
    """The schema without leave to say anything that it does not name."""
    if isinstance(schema, list):
        return [strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {"additionalProperties": False} if "properties" in schema else {}
    return {name: strict(value) for name, value in schema.items()} | closed


def checker(*names: str) -> jsonschema_rs.Validator:
    """Checks that something is one of these messages, and says nothing that they do not."""
    payloads = [MESSAGES[name]["payload"] for name in names]
    components = {"schemas": DOCUMENT["components"]["schemas"]}
    return jsonschema_rs.validator_for(
        strict({"anyOf": payloads}) | strict({"components": components})
    )


COMMANDS = checker(*(name for name in MESSAGES if name.endswith("Command")))
SAID = checker(
    *(
        reference["$ref"].rpartition("/")[2]
        for operation in DOCUMENT["operations"].values()
        if operation["channel"]["$ref"] == "#/channels/socket"
        for reference in [
            *operation.get("reply", {}).get("messages", []),
            *(operation["messages"] if operation["action"] == "send" else []),
        ]
    )
)


class Recorded(WsClient):
    """A socket that checks all it sends and gets."""

    async def send(self, **frame: Any) -> None:
        """Send one frame."""
        COMMANDS.validate(frame)
        await super().send(**frame)

    async def step(self) -> dict[str, Any]:
        """Read, check and sort one frame."""
        frame = await super().step()
        SAID.validate(frame)
        return frame

    def types(self) -> set[str]:
        """What was said: types of events and of frames."""
        events = {json.loads(event)["type"] for log in self.events.values() for event in log}
        return events | {frame["type"] for frame in [*self.others, *self.replies.values()]}


async def noted(response: aiohttp.ClientResponse) -> AsyncIterator[str]:
    """Types of what a stream says, each checked."""
    async for event in sse_events(response):
        kind = event.payload["type"] if event.event is None else f"{event.event}.notice"
        headers = {"id": event.id, "event": event.event}
        checker(kind).validate(event.payload)
        jsonschema_rs.validate(
            MESSAGES[kind]["headers"], {name: value for name, value in headers.items() if value}
        )
        yield kind


def respond(call: Call) -> Script:
    """Whatever recipe asks is answered, and thought about first."""
    if "Break the task down" in call.prompt:
        return Script(chunks=(json.dumps({"tasks": [TASK], "open_questions": []}),))
    if "Criterion:" in call.prompt:
        return Script(chunks=(json.dumps(JUDGED),), reasoning=("Hm.",))
    if "as JSON" in call.prompt:
        return Script(chunks=("no",))
    return Script(reasoning=("Hm.",), tool_calls=(("call_1", "look", "{}"),))


BROKEN: Final = Script(fault=Fault(error=ConnectionError("gone")))
CUT: Final = Script(chunks=("a", "b"), fault=Fault(at=1, error=ConnectionError("gone")))
HELD: Final = Script(chunks=("a", "b"), fault=Fault(at=1, stall=True))


@pytest.fixture
async def service(start_service: StartService, model: ScriptedModel) -> RunningService:
    """With a model that answers everything, and others that fail, break off, or never end."""
    model.respond = respond
    others = [
        ScriptedModel(name, script)
        for name, script in {"broken": BROKEN, "cut": CUT, "held": HELD}.items()
    ]
    return await start_service(
        *others,
        server={"heartbeat_seconds": 0.1},
        limits={"connection_concurrent_runs": 1},
        models={"retries": {"initial_seconds": 0}},
    )


async def test_the_socket_says_what_is_described(
    service: RunningService, http: aiohttp.ClientSession
) -> None:
    """Every recipe, a hit, a queue, failures, a cancel, refusals, a ping and a drain."""
    ws = await Recorded.connect(http, service.url)
    for recipe, body in STARTS.items():
        reply = await ws.ask(type="start", id=recipe, recipe=recipe, input=body)
        assert reply["status"] == 202, reply
        await ws.end_of(recipe)
    await ws.ask(type="start", id="hit", input=STARTS["generate"])
    await ws.end_of("hit")
    others: dict[str, dict[str, Any]] = {
        "failed": {"prompt": "f", "model": "broken"},
        "fallback": {"prompt": "f", "model": "broken", "fallback_models": ["scripted"]},
        "restarted": {"prompt": "as JSON", "schema": {"type": "object"}},
    }
    for name, body in others.items():
        await ws.ask(type="start", id=name, input=body)
        await ws.end_of(name)
    held = await ws.ask(type="start", id="held", input={"prompt": "h", "model": "held"})
    await ws.ask(type="start", id="queued", input={"prompt": "q"})
    asked = [{"stream": "again", "run": held["run"], "after": "1-1"}, {"stream": "b", "run": "no"}]
    await ws.ask(type="subscribe", id="1", streams=asked)
    await ws.ask(type="unsubscribe", id="2", stream="again")
    await ws.ask(type="unsubscribe", id="3", stream="again")
    await ws.ask(type="ping", id="4")
    await ws.ws.send_str("?")
    await ws.until(lambda: None in ws.replies)
    await ws.until(lambda: {"type": "heartbeat"} in ws.others)
    await ws.ask(type="cancel", id="5", run=held["run"])
    await ws.end_of("queued")
    service.parts.draining.set()
    await ws.until(lambda: ws.others[-1]["type"] == "goaway")

    assert ws.types() >= {*_events(), "welcome", "reply", "pong", "heartbeat", "goaway"} - NEVER


async def test_streams_say_what_is_described(
    service: RunningService, http: aiohttp.ClientSession
) -> None:
    """Every recipe, a failure and a fallback; silence and a drain."""
    seen: set[str] = set()
    for recipe, body in {
        **STARTS,
        "generate?": {"prompt": "f", "model": "cut"},
        "generate??": {"prompt": "f", "model": "broken", "fallback_models": ["scripted"]},
        "generate???": {"prompt": "as JSON", "schema": {"type": "object"}},
    }.items():
        async with http.post(
            f"{service.url}/v1/{recipe.strip('?')}", json=body, headers=SSE
        ) as response:
            seen |= {kind async for kind in noted(response)}
    body = {"prompt": "h", "model": "held"}
    async with http.post(f"{service.url}/v1/generate", json=body, headers=SSE) as response:
        async for kind in noted(response):
            seen.add(kind)
            if kind == "heartbeat.notice":
                service.parts.draining.set()
            elif kind == "goaway.notice":
                await http.post(f"{service.url}/v1/runs/{response.headers['X-Run-Id']}/cancel")

    silent = {"run.queued", "tool.returned"}
    assert seen >= {*_events(), "heartbeat.notice", "goaway.notice"} - silent


def _events() -> Iterator[str]:
    """Types of all events."""
    return (name for name, message in MESSAGES.items() if "id" in _fields(message))


def _fields(message: dict[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = message.get("headers", {}).get("properties", {})
    return fields


@pytest.mark.node
def test_the_asyncapi_document_is_one() -> None:
    """It keeps to the specification's own schema."""
    if not SPECS.exists():
        pytest.fail("Run scripts/ensure-node, or leave this test out: make test NODE=0.")
    schema = json.loads((SPECS / "3.0.0.json").read_text())

    assert [*jsonschema_rs.validator_for(schema).iter_errors(DOCUMENT)] == []


def test_the_openapi_document_is_one() -> None:
    """It keeps to the specification: shapes, references, and examples that fit."""
    document = json.loads(openapi.document())

    assert [*OpenAPIV31SpecValidator(document).iter_errors()] == []
