"""The client of a service: streams that resume by themselves, typed results, typed errors.

    async with AsyncClient() as client, client.generate("Name three fruits.") as stream:
        async for piece in stream.text():
            print(piece, end="", flush=True)

`Client` is the same without an event loop. Errors are `llm_stream.errors`, by the service's
codes, and those of `llm_stream.client.problems`. Imports neither llm nor the service; see
docs/client.md.
"""

from typing import TYPE_CHECKING, Any

from llm_stream.client.answer import Answer, Criterion, Item, Piece, Task
from llm_stream.client.problems import (
    AnswerRestarted,
    ClientClosed,
    ClientError,
    EventsLost,
    TextDiffers,
    UnexpectedAnswer,
    UnknownProblem,
    Unreachable,
)
from llm_stream.errors import CallerError, ServiceError, StreamError, UpstreamError

if TYPE_CHECKING:
    from llm_stream.client.asyncclient import AsyncClient
    from llm_stream.client.blocking import BlockingStream, Client
    from llm_stream.client.stream import Stream

__all__ = [
    "Answer",
    "AnswerRestarted",
    "AsyncClient",
    "BlockingStream",
    "CallerError",
    "Client",
    "ClientClosed",
    "ClientError",
    "Criterion",
    "EventsLost",
    "Item",
    "Piece",
    "ServiceError",
    "Stream",
    "StreamError",
    "Task",
    "TextDiffers",
    "UnexpectedAnswer",
    "UnknownProblem",
    "Unreachable",
    "UpstreamError",
]

_HEAVY = {
    "AsyncClient": "asyncclient",
    "BlockingStream": "blocking",
    "Client": "blocking",
    "Stream": "stream",
}
"""Names that come with aiohttp, which takes most of the time of an import."""


def __getattr__(name: str) -> Any:
    if name not in _HEAVY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - see `_HEAVY`

    return getattr(import_module(f"{__name__}.{_HEAVY[name]}"), name)
