"""What a generate request asks, as the turns that a model gets."""

import base64
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import orjson

from llm_stream.config import LimitsSection
from llm_stream.errors import EmptyPrompt, InvalidField, MissingField, PayloadTooLarge
from llm_stream.models.chunks import Attachment, Message
from llm_stream.models.pieces import THOUGHTS
from llm_stream.models.toolset import ToolCall
from llm_stream.recipes.prompts import PromptTemplate
from llm_stream.web.bodies import AttachmentBody, GenerateBody, MessageBody, ToolCallBody


def messages_of(
    body: GenerateBody, template: PromptTemplate | None, limits: LimitsSection
) -> tuple[Message, ...]:
    """The turns of a request: its prompt, its messages, or what its template makes of values.

    Raises:
        CallerError: nothing is asked, or twice, or too much; a turn stands where none can.
    """
    given = [name for name in ("prompt", "messages") if getattr(body, name) is not None]
    if len(given) > 1 or (template and "messages" in given):
        other = "template" if template else "prompt"
        raise InvalidField(f"Give either '{other}' or 'messages', not both.", field="messages")
    if not given and template is None:
        raise MissingField("Give 'prompt', 'messages' or 'template'.", field="prompt")
    turns = _prompted(body, template) if body.messages is None else _conversation(body)
    field = given[0] if given else "params"
    if not any(turn.content.strip() for turn in turns if turn.role == "user"):
        raise EmptyPrompt("The prompt is empty. Say what you want.", field=field)
    chars = sum(turn.chars for turn in turns)
    if chars > limits.prompt_chars:
        raise PayloadTooLarge(
            f"The prompt has {chars} characters; {limits.prompt_chars} are allowed.", field=field
        )
    if sum(len(turn.attachments) for turn in turns) > limits.attachments:
        raise PayloadTooLarge(
            f"At most {limits.attachments} attachments are allowed.", field="attachments"
        )
    return tuple(turns)


def as_text(value: Any) -> str:
    """A template value as text: a string as it is, anything else as JSON."""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _prompted(body: GenerateBody, template: PromptTemplate | None) -> list[Message]:
    text, system = body.prompt or "", body.system
    if template is not None:
        params = {name: as_text(value) for name, value in body.params.items()}
        rendered = template.render(params, body.prompt)
        text, system = rendered.prompt, body.system or rendered.system
    turns = [Message("user", text, _attachments(body.attachments, "attachments"))]
    return [Message("system", system), *turns] if system else turns


def _conversation(body: GenerateBody) -> list[Message]:
    messages: Sequence[MessageBody] = body.messages or ()
    if body.attachments:
        raise InvalidField(
            "With 'messages', attachments belong to the message they go with.", field="attachments"
        )
    if messages[-1].role not in {"user", "tool"}:
        raise InvalidField(
            "The last message has to be the user's, or a tool's.",
            field=f"messages.{len(messages) - 1}.role",
        )
    turns = [Message("system", body.system)] if body.system else []
    for place, message in enumerate(messages):
        where = f"messages.{place}"
        if message.role == "system" and (place or body.system):
            raise InvalidField(
                "One system prompt, at the beginning: 'system' or the first message.",
                field=f"{where}.role",
            )
        for name, role in (("attachments", "user"), ("tool_calls", "assistant")):
            if getattr(message, name) and message.role != role:
                raise InvalidField(
                    f"Only {role} messages have {name.replace('_', ' ')}.", field=f"{where}.{name}"
                )
        attachments = _attachments(message.attachments, f"{where}.attachments")
        calls = tuple(_calls(message.tool_calls, f"{where}.tool_calls"))
        turns.append(
            Message(message.role, message.content, attachments, calls, message.tool_call_id or "")
        )
    _check_calls(messages)
    return turns


def _check_calls(messages: Sequence[MessageBody]) -> None:
    """Raise unless each call is answered, once, before anybody else speaks: providers want that."""
    open_calls: set[str] = set()
    for place, message in enumerate(messages):
        where = f"messages.{place}"
        if message.role == "tool":
            if message.tool_call_id is None:
                raise MissingField(
                    "A tool's message says which call it answers.", field=f"{where}.tool_call_id"
                )
            if message.tool_call_id not in open_calls:
                raise InvalidField(
                    f"No call {message.tool_call_id[:100]!r} waits for a result here.",
                    field=f"{where}.tool_call_id",
                )
            open_calls.remove(message.tool_call_id)
            continue
        if message.tool_call_id is not None:
            raise InvalidField("Only tools' messages answer a call.", field=f"{where}.tool_call_id")
        if open_calls:
            raise InvalidField(
                f"The results of {_listed(open_calls)} have to come first.", field=f"{where}.role"
            )
        open_calls = _opened(message, where)
    if open_calls:
        raise InvalidField(
            f"The results of {_listed(open_calls)} are missing.",
            field=f"messages.{len(messages) - 1}",
        )


def _opened(message: MessageBody, where: str) -> set[str]:
    ids = [call.tool_call_id for call in message.tool_calls]
    for place, name in enumerate(ids):
        if name in ids[:place]:
            raise InvalidField(
                f"Two calls have the id {name[:100]!r}.",
                field=f"{where}.tool_calls.{place}.tool_call_id",
            )
    return set(ids)


def _listed(calls: Iterable[str]) -> str:
    return ", ".join(repr(call[:100]) for call in sorted(calls))


def _calls(bodies: Sequence[ToolCallBody], path: str) -> Iterator[ToolCall]:
    for place, body in enumerate(bodies):
        kept = body.provider_metadata
        if kept is not None and not _is_kept(kept):
            raise InvalidField(
                "Send back what came with the call, or leave it out.",
                field=f"{path}.{place}.provider_metadata",
            )
        yield ToolCall(body.tool_call_id, body.name, body.arguments, kept or None)


def _is_kept(kept: dict[str, Any]) -> bool:
    """Whether this has the shape of what wires keep with a call (`models/pieces`)."""
    thoughts = kept.get(THOUGHTS, [])
    return (
        all(isinstance(of, dict) for name, of in kept.items() if name != THOUGHTS)
        and isinstance(thoughts, list)
        and all(
            isinstance(each, dict)
            and isinstance(each.get("text"), str)
            and isinstance(each.get("provider_metadata"), dict)
            for each in thoughts
        )
    )


def _attachments(bodies: Sequence[AttachmentBody], path: str) -> tuple[Attachment, ...]:
    found = []
    for place, body in enumerate(bodies):
        try:
            content = base64.b64decode(body.data, validate=True)
        except ValueError as error:  # binascii.Error is one; so is text beyond ASCII
            raise InvalidField(
                "The attachment is not base64.", field=f"{path}.{place}.data"
            ) from error
        found.append(Attachment(body.type, content))
    return tuple(found)
