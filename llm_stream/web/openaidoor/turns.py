"""One message of a request, whichever call it came by, and the parameters its parts stood in."""

import re
from base64 import b64encode
from typing import Any, Final, NamedTuple

from llm_stream.errors import InvalidField, MalformedRequest
from llm_stream.models.chunks import Message
from llm_stream.web.bodies import read_object
from llm_stream.web.openaidoor.toolshapes import Called, ChatCall, InputCall

_INLINE: Final = re.compile(r"data:([a-z]+/[a-z0-9.+-]+);base64,", re.ASCII)


class Inline(NamedTuple):
    """An attachment, and the parameter that has it."""

    type: str
    data: str
    param: str


class Call(NamedTuple):
    """A call of a tool that is sent back, the parameter it stands in, and its id's name there."""

    value: dict[str, Any]
    param: str
    id_name: str


class Turn(NamedTuple):
    """One message, and the parameter it stands in; a tool's says which call it answers."""

    role: str
    text: str
    inlines: tuple[Inline, ...]
    param: str
    calls: tuple[Call, ...] = ()
    call_id: str | None = None
    call_param: str = ""


def chat_call(call: ChatCall, param: str) -> Call:
    """A call that is sent back to a chat completion.

    Raises:
        InvalidField: its arguments are no JSON object (the caller's doing).
    """
    value = _value(call.id, call.function, call.extra_content, f"{param}.function.arguments")
    return Call(value, param, "id")


def input_call(call: InputCall, param: str) -> Call:
    """A call that is sent back to a response; raises as `chat_call`."""
    asked = Called(name=call.name, arguments=call.arguments)
    value = _value(call.call_id, asked, call.extra_content, f"{param}.arguments")
    return Call(value, param, "call_id")


def _value(call_id: str, asked: Called, kept: dict[str, Any] | None, param: str) -> dict[str, Any]:
    try:
        arguments = read_object(asked.arguments or "{}")
    except MalformedRequest as error:
        raise InvalidField(
            f"Parameter {param!r} has to be a JSON object, as text.", field=param
        ) from error
    value = {"tool_call_id": call_id, "name": asked.name, "arguments": arguments}
    return value if kept is None else value | {"provider_metadata": kept}


def said_before(message: Message, param: str) -> Turn:
    """A turn of a conversation that goes on; whatever may be wrong with it is `param`'s fault."""
    calls = (
        {"tool_call_id": call.tool_call_id, "name": call.name, "arguments": call.arguments}
        | ({"provider_metadata": call.provider_metadata} if call.provider_metadata else {})
        for call in message.tool_calls
    )
    return Turn(
        message.role,
        message.content,
        tuple(
            Inline(each.type, b64encode(each.content).decode(), param)
            for each in message.attachments
        ),
        param,
        tuple(Call(call, param, "") for call in calls),
        message.tool_call_id or None,
        param,
    )


def inline(url: str, param: str) -> Inline:
    """The attachment of a `data:` URL.

    Raises:
        InvalidField: it is another URL: nothing is fetched (the caller's doing).
    """
    found = _INLINE.match(url)
    if found is None:
        raise InvalidField(
            f"Parameter {param!r} has to be inline, 'data:image/png;base64,...': this service "
            "fetches nothing.",
            field=param,
        )
    return Inline(found[1], url[found.end() :], param)
