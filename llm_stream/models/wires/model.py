"""The `llm` model behind every wire: sends one request, reads one answer, closes what it opened."""

import asyncio
from abc import abstractmethod
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import llm
import orjson
from llm.parts import StreamEvent

from llm_stream.errors import StreamError, UpstreamFailed
from llm_stream.eventstream import MAX_LINE_BYTES, LineTooLong, SseParser
from llm_stream.models.joining import bundled
from llm_stream.models.wires.answer import Answer, Said
from llm_stream.models.wires.endpoint import Endpoint
from llm_stream.models.wires.refusals import blames_key
from llm_stream.models.wires.upstream import Upstream

SETTLE_SECONDS: Final = 1.0
"""How long counts or an end may follow the finish reason. An answer that has it is whole."""

NOT_THEIR_FORMAT: Final = (LookupError, TypeError, ValueError, AttributeError)
"""What reading an event raises that is not what its provider documents."""


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a model can do.

    `options` is the class of its options. Answers come in events if it `can_stream`, else in one
    piece. `supports_schema` says that the provider keeps to a JSON Schema.
    """

    options: type[llm.Options]
    attachment_types: frozenset[str] = frozenset()
    can_stream: bool = True
    supports_schema: bool = True
    supports_tools: bool = True


class WireModel(llm.AsyncKeyModel):
    """One model of one provider. A provider's wire derives from it.

    `execute` raises only our own errors. Closing its generator, or cancelling who awaits it,
    closes the connection, whether the answer has begun or not.

    Args:
        model_id: the name of the catalog.
        upstream_name: the provider's name for it.
        endpoint: where it is sent.
        abilities: what it can do.
    """

    can_stream = True
    takes_toolset = True
    """Whether it can say how tools may be called, see `turns.use_of`; read by the adapter."""
    max_line_bytes: ClassVar[int] = MAX_LINE_BYTES

    def __init__(
        self, model_id: str, upstream_name: str, endpoint: Endpoint, abilities: Abilities
    ) -> None:
        self.model_id = model_id
        self.upstream_name = upstream_name
        self.endpoint = endpoint
        self.provider = endpoint.provider
        self.address = endpoint.base_url
        # llm's own way to vary them by model.
        self.Options = abilities.options  # type: ignore[assignment]
        self.attachment_types = set(abilities.attachment_types)
        self.can_stream = abilities.can_stream
        self.supports_schema = abilities.supports_schema
        self.supports_tools = abilities.supports_tools

    def __str__(self) -> str:
        return f"{self.provider}: {self.model_id}"

    def get_key(self, explicit_key: str | None = None) -> str | None:
        """The key to send; the provider's unless the program that asks brings its own.

        Unlike llm's own, it never takes a key for the name of another one.

        Raises:
            MissingKey: there is none and the provider needs one (the operator's doing).
        """
        return explicit_key or self.endpoint.key.value()

    @abstractmethod
    def path(self, *, stream: bool) -> str:
        """Where requests go, below the base URL."""

    @abstractmethod
    def headers(self, key: str | None, body: dict[str, Any]) -> dict[str, str]:
        """Headers that carry the key, and what else the body makes necessary."""

    @abstractmethod
    def request(self, prompt: llm.Prompt, *, stream: bool) -> dict[str, Any]:
        """The JSON body.

        Raises:
            UnsupportedByModel: the provider has no way to say this (caller's doing).
        """

    @abstractmethod
    def answer(self, prompt: llm.Prompt) -> Answer:
        """A reader for the answer to this prompt."""

    async def execute(
        self,
        prompt: llm.Prompt,
        stream: bool,  # noqa: FBT001 - llm's signature
        response: llm.AsyncResponse,
        conversation: llm.AsyncConversation | None = None,
        key: str | None = None,
    ) -> AsyncGenerator[StreamEvent, None]:
        """See `llm.AsyncKeyModel`.

        Raises:
            StreamError: no key, a refusal, a broken or faulty answer; see docs/providers.md.
        """
        # llm asks every model for a stream, also one that has none (llm 0.36).
        stream = stream and self.can_stream
        body = self.request(prompt, stream=stream)
        answer = self.answer(prompt)
        try:
            async with self.endpoint.post(
                self.path(stream=stream),
                self.headers(key, body),
                body,
                stream=stream,
                model_id=self.model_id,
            ) as upstream:
                if stream:
                    parser = SseParser(self.max_line_bytes)
                    while block := await (
                        _last_block(upstream, answer)
                        if answer.closed or (answer.finish_reason is not None and answer.ends)
                        else upstream.read()
                    ):
                        said, failure = self._read(parser, answer, block)
                        for event in bundled(said):
                            yield event
                        if failure is not None:
                            try:
                                raise failure
                            finally:
                                del failure  # with this frame in its traceback, a cycle
                else:
                    whole = decode(await upstream.body(), self.model_id)
                    for event in bundled(self._checked(answer.take_whole, whole)):
                        yield event
                # A refusal or a cut is told by conclude; an answer that has ended keeps its line.
                upstream.whole = answer.finish_reason is not None
        except StreamError as error:
            if blames_key(error):
                error.other_key = self.endpoint.key.refused(key, error.retry_after_ms)
            raise
        answer.conclude(response)

    def _read(
        self, parser: SseParser, answer: Answer, block: bytes
    ) -> tuple[Said, StreamError | None]:
        """What a block says, and what is wrong with it behind that."""
        found: list[StreamEvent | str] = []
        take = answer.take
        try:
            for data in parser.feed(block):
                if data == b"[DONE]":
                    # No end mark by itself: it also follows answers that were cut.
                    answer.closed = True
                if answer.closed:
                    break
                found += take(orjson.loads(data))
        except LineTooLong:
            return found, UpstreamFailed(f"{self.model_id}: the provider sent an endless line")
        except StreamError as error:
            return found, error
        except NOT_THEIR_FORMAT as error:
            return found, _foreign(error, self.model_id)
        return found, None

    def _checked(self, take: Callable[[Any], Said], body: Any) -> Said:
        try:
            return take(body)
        except NOT_THEIR_FORMAT as error:
            raise _foreign(error, self.model_id) from error


async def _last_block(upstream: Upstream, answer: Answer) -> bytes:
    """What follows an answer that may have ended; empty when nothing more is to come."""
    if answer.closed:
        return b""
    try:
        async with asyncio.timeout(SETTLE_SECONDS):
            return await upstream.read()
    except (TimeoutError, UpstreamFailed):
        return b""


def _foreign(error: Exception, model_id: str) -> UpstreamFailed:
    told = "not JSON"
    if not isinstance(error, orjson.JSONDecodeError):
        told = f"not in its format ({type(error).__name__})"
    failure = UpstreamFailed(f"{model_id}: the provider sent what is {told}")
    # Not where it was caught: that frame is in its traceback and must not know the failure.
    failure.__cause__ = error
    return failure


def decode(data: bytes, model_id: str) -> Any:
    """JSON of a provider.

    Raises:
        UpstreamFailed: it is none (the upstream's doing).
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise _foreign(error, model_id) from error
