"""GET /asyncapi.json: the WebSocket and the event streams, out of the types that make them.

One message a type of event, of frame and of notice; their schemas are those of `web/shapes`.
"""

from functools import cache
from typing import Any, Final

import orjson

from llm_stream.web import frames
from llm_stream.web.auth import SOCKET
from llm_stream.web.bodies import FRAMES
from llm_stream.web.negotiation import JSON_TYPE
from llm_stream.web.openapi import INFO
from llm_stream.web.operation import TEXT, Schema
from llm_stream.web.recipes import RECIPES
from llm_stream.web.shapes import NOTICES, PAYLOADS, SAID, reached, ref, schemas

ABOUT: Final = """\
What goes over the WebSocket, and what a stream of Server-Sent Events says; `/docs/protocol` \
explains it, `/openapi.json` describes the plain calls. Events are the same on every wire. A \
reader ignores types, names and fields that it does not know."""

REPLIES: Final[dict[str, type]] = {
    "start": frames.StartReply,
    "subscribe": frames.SubscribeReply,
    "unsubscribe": frames.UnsubscribeReply,
    "cancel": frames.CancelReply,
    "ping": frames.Pong,
}
"""Command -> what is said when it was obeyed; `Refusal` when it was not."""

STREAMS: Final[dict[str, tuple[str, str, dict[str, Schema]]]] = {
    "runEvents": (
        "/v1/runs/{run}/events",
        "A run from behind a cursor (`Last-Event-ID` or `?after=`), asked for with GET.",
        {"run": {"description": "The run's id."}},
    ),
    "startedEvents": (
        "/v1/{recipe}",
        "A run that this POST has started or joined, from its beginning.",
        {"recipe": {"enum": [*RECIPES], "description": "What is asked for."}},
    ),
}
"""Channel of Server-Sent Events -> its address, what it is, its parameters."""


@cache
def document() -> bytes:
    """The document, as JSON of AsyncAPI 3."""
    messages = _messages()
    return orjson.dumps(
        {
            "asyncapi": "3.0.0",
            "info": INFO | {"license": {"name": INFO["license"]["name"]}, "description": ABOUT},
            "defaultContentType": JSON_TYPE,
            "channels": _channels(),
            "operations": _operations(),
            "components": {"messages": messages, "schemas": reached(messages)},
        }
    )


def _messages() -> dict[str, Schema]:
    """Every message, by its name: those of the socket, then those of streams."""
    made = {
        f"{kind}Command": _message(f"{kind} (command)", shape) for kind, shape in FRAMES.items()
    }
    made |= {_named(shape): _message(shape.__name__, shape) for shape in SAID}
    for kind, payload in PAYLOADS.items():
        about = _about(payload)
        made[f"{kind}.frame"] = {
            "title": f"{kind} on the socket",
            "summary": about,
            "payload": {
                "type": "object",
                "required": ["stream", "event"],
                "properties": {"stream": TEXT, "event": ref(payload)},
            },
        }
        made[kind] = _message(kind, payload) | {
            "headers": {"type": "object", "required": ["id"], "properties": {"id": TEXT}}
        }
    for name, shape in NOTICES.items():
        made[f"{name}.notice"] = _message(f"{name} in a stream", shape) | {
            "headers": {
                "type": "object",
                "required": ["event"],
                "properties": {"event": {"const": name}},
            }
        }
    return made


def _message(title: str, shape: type) -> Schema:
    return {"title": title, "summary": _about(shape), "payload": ref(shape)}


def _about(shape: type) -> str:
    about: str = schemas()[shape.__name__]["description"]
    return about


def _named(shape: type) -> str:
    return shape.__name__[0].lower() + shape.__name__[1:]


def _channels() -> dict[str, Any]:
    commands = [f"{kind}Command" for kind in FRAMES]
    said = [*map(_named, SAID), *(f"{kind}.frame" for kind in PAYLOADS)]
    streamed = [*PAYLOADS, *(f"{name}.notice" for name in NOTICES)]
    socket = {
        "address": SOCKET,
        "title": "WebSocket",
        "description": "Many runs on one connection: subprotocol `llm-stream.v1`, one JSON "
        "object a text frame, no compression.",
        "messages": _refs("#/components/messages", *commands, *said),
        "bindings": {
            "ws": {
                "method": "GET",
                "query": {
                    "type": "object",
                    "properties": {
                        "ticket": {"type": "string", "description": "In place of a key."}
                    },
                },
                "headers": {
                    "type": "object",
                    "properties": {"Sec-WebSocket-Protocol": {"type": "string"}},
                },
            }
        },
    }
    channels: dict[str, Any] = {"socket": socket}
    for name, (address, about, parameters) in STREAMS.items():
        channels[name] = {
            "address": address,
            "title": "Server-Sent Events",
            "description": f"{about} `Accept: text/event-stream`. Headers are the fields of an "
            "event; a run's own have an id and no name, what is about the stream a name and no id.",
            "parameters": parameters,
            "messages": _refs("#/components/messages", *streamed),
        }
    return channels


def _operations() -> dict[str, Any]:
    """What the service does: it receives each command and replies, and sends all else."""
    socket = {"$ref": "#/channels/socket"}
    made: dict[str, Any] = {
        f"receive{kind.capitalize()}": {
            "action": "receive",
            "channel": socket,
            "summary": _about(FRAMES[kind]),
            "messages": _listed("socket", f"{kind}Command"),
            "reply": {"channel": socket, "messages": _listed("socket", _named(reply), "refusal")},
        }
        for kind, reply in REPLIES.items()
    }
    replies = {*REPLIES.values(), frames.Refusal}
    unasked = [_named(shape) for shape in SAID if shape not in replies]
    made["sendFrames"] = {
        "action": "send",
        "channel": socket,
        "summary": "Whatever nobody has asked for, and the events of every stream.",
        "messages": _listed("socket", *unasked, *(f"{kind}.frame" for kind in PAYLOADS)),
    }
    for name in STREAMS:
        made[f"send{name[0].upper()}{name[1:]}"] = {
            "action": "send",
            "channel": {"$ref": f"#/channels/{name}"},
            "summary": STREAMS[name][1],
            "messages": _listed(name, *PAYLOADS, *(f"{notice}.notice" for notice in NOTICES)),
        }
    return made


def _refs(where: str, *names: str) -> dict[str, Schema]:
    return {name: {"$ref": f"{where}/{name}"} for name in names}


def _listed(channel: str, *names: str) -> list[Schema]:
    return [*_refs(f"#/channels/{channel}/messages", *names).values()]
