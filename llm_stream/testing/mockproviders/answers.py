"""What a mock provider says: seeded, or as a script has it, whatever the wire."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Literal

import orjson
from pydantic import ConfigDict

from llm_stream.testing.mockproviders.samples import sample
from llm_stream.testing.scripted import words

Finish = Literal["stop", "length", "filter"]
"""Why a text ends: all was said, no more was allowed, the provider would not."""

CHUNK_BYTES: Final = 12
"""Length of the pieces that JSON is said in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request, as far as the answer depends on it.

    Attributes:
        model: the name that was asked for.
        prompt: all text that was sent, joined.
        stream: whether the reply streams.
        reasons: whether reasoning was asked for.
        tools: offered tools, name -> JSON Schema of the arguments; empty when a call would be no
            answer, because the last turn already brings a tool's result.
        schema: JSON Schema that the text has to meet.
        with_usage: whether a stream is to report tokens.
        method: which of several ways to ask and be answered the wire was called by.
    """

    model: str
    prompt: str = ""
    stream: bool = False
    reasons: bool = False
    tools: Mapping[str, Any] = field(default_factory=dict)
    schema: Any = None
    with_usage: bool = True
    method: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerShape:
    """What a seeded answer looks like.

    Args:
        words: chunks of text.
        long: if not 0, one chunk of so many bytes instead.
        reasons: reasoning comes first, asked for or not.
        calls_tools: an offered tool is called.
        finish: why the text ends.
    """

    words: int = 12
    long: int = 0
    reasons: bool = False
    calls_tools: bool = True
    finish: Finish = "stop"


@dataclass(frozen=True, slots=True, kw_only=True)
class MockToolCall:
    """A tool call that an answer makes."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    @property
    def pieces(self) -> tuple[str, ...]:
        """The arguments as JSON, in the pieces that are streamed."""
        return in_pieces(orjson.dumps(dict(self.arguments)).decode())


@dataclass(frozen=True, slots=True, kw_only=True)
class MockAnswer:
    """One answer.

    Args:
        text: the pieces of text, in order.
        reasoning: pieces of reasoning, said first.
        tool_calls: calls, made after the text.
        finish: why the text ends.
        input_tokens: reported; None = as many as the prompt has words.
        output_tokens: reported; None = as many as there are pieces.
    """

    text: tuple[str, ...] = ()
    reasoning: tuple[str, ...] = ()
    tool_calls: tuple[MockToolCall, ...] = ()
    finish: Finish = "stop"
    input_tokens: int | None = None
    output_tokens: int | None = None

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    def usage(self, asked: Asked) -> "Tokens":
        """What is reported for this answer to that request."""
        counted = len(self.text) + sum(len(call.pieces) for call in self.tool_calls)
        reasoning = len(self.reasoning)
        return Tokens(
            max(1, len(asked.prompt.split())) if self.input_tokens is None else self.input_tokens,
            counted + reasoning if self.output_tokens is None else self.output_tokens,
            reasoning,
        )


@dataclass(frozen=True, slots=True)
class Tokens:
    """Token counts; `output` includes `reasoning`."""

    input: int
    output: int
    reasoning: int

    @property
    def total(self) -> int:
        """Both directions."""
        return self.input + self.output


def seeded_answer(asked: Asked, shape: AnswerShape, seed: int) -> MockAnswer:
    """The answer to a request: the same for the same prompt and seed, whatever the model."""
    draw = random.Random(f"{seed} {asked.prompt}")  # noqa: S311 - repeatable, not secret
    of_text, of_reasoning = draw.getrandbits(32), draw.getrandbits(32)
    reasoning = words(3, of_reasoning) if asked.reasons or shape.reasons else ()
    if asked.tools and shape.calls_tools:
        name, schema = next(iter(asked.tools.items()))
        call = MockToolCall(name=name, arguments=sample(schema))
        return MockAnswer(reasoning=reasoning, tool_calls=(call,), finish=shape.finish)
    if asked.schema is not None:
        text = in_pieces(orjson.dumps(sample(asked.schema)).decode())
    elif shape.long:
        text = ("x" * shape.long,)
    else:
        text = words(shape.words, of_text)
    return MockAnswer(text=text, reasoning=reasoning, finish=shape.finish)


def in_pieces(text: str) -> tuple[str, ...]:
    """A text in the pieces it is said in."""
    return tuple(text[at : at + CHUNK_BYTES] for at in range(0, len(text), CHUNK_BYTES))


def opaque_id(prefix: str, asked: Asked, length: int = 24) -> str:
    """An id as providers make them; the same for the same request."""
    draw = random.Random(f"{prefix} {asked.model} {asked.prompt}")  # noqa: S311 - as above
    return prefix + "".join(draw.choices("abcdefghijkmnopqrstuvwxyz0123456789", k=length))
