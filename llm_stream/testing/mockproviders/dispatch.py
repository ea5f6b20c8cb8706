"""Which wire a request is for, what its model name or script asks for, and the reply to it."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import parse_qsl, urlsplit

import orjson

from llm_stream.testing.mockproviders.answers import Asked, MockAnswer, seeded_answer
from llm_stream.testing.mockproviders.anthropic import AnthropicMessages
from llm_stream.testing.mockproviders.faults import NO_FAULT, MockFault, fault_in_line
from llm_stream.testing.mockproviders.gemini import Gemini
from llm_stream.testing.mockproviders.modelnames import (
    NamedBehaviour,
    UnknownWord,
    behaviour_of,
)
from llm_stream.testing.mockproviders.openaichat import OpenAIChat
from llm_stream.testing.mockproviders.openairesponses import OpenAIResponses
from llm_stream.testing.mockproviders.palm import Palm
from llm_stream.testing.mockproviders.record import MockRequest
from llm_stream.testing.mockproviders.replies import Reply, distorted, plain
from llm_stream.testing.mockproviders.script import MockScript
from llm_stream.testing.mockproviders.wire import Call, Refusal, Wire

WIRES: Final[tuple[Wire, ...]] = (
    OpenAIChat(),
    OpenAIResponses(),
    AnthropicMessages(),
    Gemini(),
    Palm(),
)
PREFIX: Final = re.compile(r"/(openai|anthropic|gemini|palm)(?=/)")
ANY_MODEL: Final = "*"


class Dispatcher:
    """Makes the reply to each request.

    Args:
        scripts: by model name.
        seed: of the answers that no script gives.
    """

    def __init__(self, scripts: Mapping[str, MockScript], seed: int) -> None:
        self.scripts = scripts
        self.seed = seed
        self._asked: Counter[tuple[str, str]] = Counter()

    def forget(self) -> None:
        """Faults that hold a few times are due again."""
        self._asked.clear()

    def reply(self, request: MockRequest, headers: Mapping[str, str]) -> Reply:
        """The reply to a request, distorted already; its record gets wire, model and fault.

        Args:
            request: the record.
            headers: as they were sent, the address as `:path`.
        """
        address = urlsplit(headers[":path"])
        prefix = PREFIX.match(address.path)
        path = address.path[prefix.end() :] if prefix else address.path
        query = dict(parse_qsl(address.query))
        call = Call(request.method, path, query, headers, None)
        for wire in WIRES:
            if (prefix is None or wire.name.startswith(prefix[1])) and wire.takes(call):
                request.provider = wire.name
                return self._answer(wire, call, request)
        return plain({"error": {"message": f"No mocked wire has {request.path}"}}, 404)

    def _answer(self, wire: Wire, call: Call, request: MockRequest) -> Reply:
        try:
            wire.admit(call)
            if call.method == "GET":
                return self._sound(wire.models(["mock", *sorted({*self.scripts} - {ANY_MODEL})]))
            request.body = parsed(request.content)
            call = replace(call, body=request.body)
            asked = read(wire, call)
            request.model = asked.model
            request.draw.seed(f"{self.seed} {request.content.hex()}")
            fault, answer = self._behaviour(wire, asked)
        except Refusal as refusal:
            return self._sound(wire.error(refusal, call))
        request.fault = fault
        if fault.status:
            message = f"The mock was asked for status {fault.status}."
            asked_for = Refusal(fault.status, message, retry_seconds=fault.retry_info_seconds)
            reply = wire.error(asked_for, call)
        else:
            reply = wire.reply(asked, answer, fault)
        if fault.limit_left is not None:
            limits = wire.limits(fault.limit_left, fault.limit_reset_seconds)
            reply = replace(reply, headers={**reply.headers, **limits})
        return distorted(
            reply, fault, wire.error_chunk(asked, fault.error_status, first=fault.error_at == 0)
        )

    @staticmethod
    def _sound(reply: Reply) -> Reply:
        return distorted(reply, NO_FAULT, b"")

    def _behaviour(self, wire: Wire, asked: Asked) -> tuple[MockFault, MockAnswer]:
        number = self._asked[wire.name, asked.model]
        self._asked[wire.name, asked.model] += 1
        script = self.scripts.get(asked.model) or self.scripts.get(ANY_MODEL) or MockScript()
        try:
            named = behaviour_of(asked.model)
        except UnknownWord as error:
            if not script.faults:
                raise Refusal(404, f"The model does not exist: {error}.") from error
            named = NamedBehaviour()
        fault = fault_in_line(script.faults or named.faults, number)
        if script.answers:
            return fault, script.answers[min(number, len(script.answers) - 1)]
        return fault, seeded_answer(asked, named.shape, self.seed)


def read(wire: Wire, call: Call) -> Asked:
    """What is asked for; see `Wire.read`.

    Raises:
        Refusal: the provider would not take such a body.
    """
    try:
        asked = wire.read(call)
    except (AttributeError, TypeError, KeyError, IndexError) as error:
        raise Refusal(400, "The body of the request does not have the right shape.") from error
    if not isinstance(asked.model, str):
        raise Refusal(400, "The model is not a string.")
    return asked


def parsed(content: bytes) -> object:
    """A body that is JSON.

    Raises:
        Refusal: it is none.
    """
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise Refusal(400, "The body of the request could not be read as JSON.") from error
