"""A finished run as the rows that llm's own `LogStore.log` would write.

That builds a statement for each row and asks the database for names of tables before it; here rows
are made first and written many at a time (`logbook`). Whatever is not plain text - attachments,
tools, signed thoughts - goes through llm's own classes and functions.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from json.encoder import encode_basestring as _quoted
from json.encoder import encode_basestring_ascii as _escaped
from typing import Any, Final, NamedTuple

from llm.logs import HASH_PREFIX, condense_payload, message_hash
from llm.parts import AttachmentPart, Message
from llm.utils import make_schema_id

from llm_stream.history.turns import Logged, moment
from llm_stream.models.prompting import declared

MIN_CONDENSED: Final = 64
"""llm refers from a payload to texts of the answer that are as long, instead of repeating them."""

PLAIN: Final = frozenset({"type", "text"})
"""What the commonest parts consist of."""


class PartRow(NamedTuple):
    """A row of `parts`."""

    message_hash: str
    position: int
    type: str
    tool_name: str | None
    text: str | None
    payload: str | None


class AttachmentRow(NamedTuple):
    """A row of `attachments`."""

    id: str
    type: str | None
    path: str | None
    url: str | None
    content: bytes | None


class Attached(NamedTuple):
    """Which attachment is that of a part; a row of `part_attachments`, the part by its place."""

    attachment_id: str
    order: int
    message_hash: str
    position: int


class ToolRow(NamedTuple):
    """A row of `tools`."""

    hash: str
    name: str
    description: str | None
    input_schema: str
    plugin: str | None


class TurnRow(NamedTuple):
    """A row of `turns`."""

    id: str
    thread_id: str
    parent_message_hash: str | None
    tip_message_hash: str
    model: str
    resolved_model: str | None
    options_json: str | None
    schema_id: str | None
    input_tokens: int | None
    output_tokens: int | None
    token_details: str | None
    duration_ms: int
    datetime_utc: str
    response_json: str | None


class Link(NamedTuple):
    """A row of `messages`, and what is in it."""

    hash: str
    parent_hash: str | None
    role: str
    parts: tuple[PartRow, ...]
    attachments: tuple[AttachmentRow, ...] = ()
    attached: tuple[Attached, ...] = ()


class Rows(NamedTuple):
    """All that is written of one run into llm's tables.

    `name` is its thread's, should that begin with it; by `prompt` and `said` llm's search finds it.
    """

    name: str
    turn: TurnRow
    chain: tuple[Link, ...]
    schema: tuple[str, str] | None
    tools: tuple[ToolRow, ...]
    prompt: str
    said: str


def rows_of(logged: Logged) -> Rows:
    """The rows of a run."""
    chain: list[Link] = []
    tip: str | None = None
    for message in (*logged.asked, {"role": "assistant", "parts": logged.answered}):
        chain.append(_link(message, tip))
        tip = chain[-1].hash
    own, asked = chain[-1], chain[-2] if len(chain) > 1 else None
    schema = make_schema_id(dict(logged.schema)) if logged.schema else None
    options = {name: value for name, value in logged.options.items() if value is not None}
    return Rows(
        name=logged.name,
        turn=TurnRow(
            id=logged.id,
            thread_id=logged.thread,
            parent_message_hash=own.parent_hash,
            tip_message_hash=own.hash,
            model=logged.model,
            resolved_model=logged.resolved_model,
            options_json=json.dumps(options) if options else None,
            schema_id=schema[0] if schema else None,
            input_tokens=logged.input_tokens,
            output_tokens=logged.output_tokens,
            token_details=None,
            duration_ms=logged.total_ms,
            datetime_utc=moment(logged.began_at),
            response_json=_payload(logged),
        ),
        chain=tuple(chain),
        schema=schema,
        tools=tuple(_tool_row(tool) for tool in declared(logged.tools)),
        prompt=_said(asked) if asked is not None and asked.role == "user" else "",
        said=_said(own),
    )


def text_hash(role: str, parts: Sequence[Mapping[str, str]], parent: str | None) -> str:
    """What llm's `message_hash` says of a message whose parts have a type and a text only."""
    said = ",".join(
        [f'{{"text":{_quoted(part["text"])},"type":{_quoted(part["type"])}}}' for part in parts]
    )
    above = "null" if parent is None else _quoted(parent)
    canonical = f'{{"message":{{"parts":[{said}],"role":{_quoted(role)}}},"parent":{above}}}'
    return HASH_PREFIX + hashlib.blake2b(canonical.encode(), digest_size=16).hexdigest()


def _link(message: Mapping[str, Any], parent: str | None) -> Link:
    role, parts = message["role"], message["parts"]
    if all(part.keys() == PLAIN for part in parts):
        key = text_hash(role, parts, parent)
        rows = [
            PartRow(key, place, part["type"], None, part["text"], None)
            for place, part in enumerate(parts)
        ]
        return Link(key, parent, role, tuple(rows))
    whole = Message.from_dict({"role": role, "parts": parts})
    key = message_hash(whole, parent)
    attachments: list[tuple[int, Any]] = [
        (place, part.attachment)
        for place, part in enumerate(whole.parts)
        if isinstance(part, AttachmentPart) and part.attachment is not None
    ]
    return Link(
        key,
        parent,
        role,
        tuple(_part_row(key, place, part) for place, part in enumerate(whole.parts)),
        tuple(
            AttachmentRow(each.id(), each.resolve_type(), each.path, each.url, each.content)
            for _, each in attachments
        ),
        tuple(Attached(each.id(), 0, key, place) for place, each in attachments),
    )


def _tool_row(tool: Any) -> ToolRow:
    schema = json.dumps(tool.input_schema)
    return ToolRow(tool.hash(), tool.name, tool.description, schema, tool.plugin)


def _part_row(key: str, place: int, part: Any) -> PartRow:
    payload: dict[str, Any] = dict(part.to_dict())
    kind = payload.pop("type")
    if "attachment" in payload:
        payload["attachment"] = {"id": part.attachment.id()}
    text = payload.pop("text", None) if kind in {"text", "reasoning"} else None
    name = payload.get("name")
    return PartRow(key, place, kind, name, text, json.dumps(payload) if payload else None)


def _said(link: Link) -> str:
    return "".join(part.text or "" for part in link.parts if part.type == "text")


def _payload(logged: Logged) -> str | None:
    """`response_json`, in which llm refers to what stands in the answer already."""
    if not _may_repeat(logged):
        return _flat(logged.about)
    answer = Message.from_dict({"role": "assistant", "parts": list(logged.answered)})
    tools = [(tool.name, tool.description) for tool in declared(logged.tools)]
    schema = None if logged.schema is None else dict(logged.schema)
    condensed: str | None = condense_payload(
        {"llm_stream": logged.about}, [answer], tools, schema=schema
    )
    return condensed


def _flat(about: Mapping[str, Any]) -> str:
    """As `json.dumps` writes it, which makes an encoder each time."""
    facts = [
        f"{_escaped(name)}: {_escaped(fact) if isinstance(fact, str) else json.dumps(fact)}"
        for name, fact in about.items()
    ]
    return f'{{"llm_stream": {{{", ".join(facts)}}}}}'


def _may_repeat(logged: Logged) -> bool:
    """Whether a part of what is told about a run may be in its answer, tools or schema as well."""
    if logged.schema or logged.tools is not None:
        return True
    longest = max((len(fact) for fact in logged.about.values() if isinstance(fact, str)), default=0)
    return any(
        part.keys() != PLAIN or MIN_CONDENSED <= len(part["text"]) <= longest
        for part in logged.answered
    )
