"""The client of a service, for programs on asyncio."""

import os
from collections.abc import Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, Self
from urllib.parse import quote, urlencode

from llm_stream.client.http import Http
from llm_stream.client.patience import Patience
from llm_stream.client.socketwire import SocketWire
from llm_stream.client.ssewire import SseWire
from llm_stream.client.stream import Stream

if TYPE_CHECKING:
    from llm_stream.client.wire import Wire

URL: Final = "http://127.0.0.1:8080"

URL_VARIABLE: Final = "LLM_STREAM_URL"
KEY_VARIABLE: Final = "LLM_STREAM_KEY"


class AsyncClient:
    """Asks a service and reads what it answers; used with `async with`, or ended by `close`.

    Streams resume by themselves after lost connections and restarts of the service, behind the
    last event they have read, for as long as `patience_seconds`.

    Args:
        url: the service's address; without it `LLM_STREAM_URL`, else http://127.0.0.1:8080.
        key: the client key to show; without it `LLM_STREAM_KEY`, if that is set.
        wire: `sse`, a connection a stream, or `websocket`, one for all.
        patience_seconds: how long failing attempts are made again; 0 = not at all.
        start_seconds: the same for starting a run; without it as `patience_seconds`.
        connect_seconds: how long a connection may take.
        silence_seconds: how long a connection may be silent before it is taken for broken; longer
            than the service's heartbeats are apart (`server.heartbeat_seconds`, 15).
    """

    def __init__(  # noqa: PLR0913 - what a user may want to set
        self,
        url: str | None = None,
        *,
        key: str | None = None,
        wire: Literal["sse", "websocket"] = "sse",
        patience_seconds: float = 120.0,
        start_seconds: float | None = None,
        connect_seconds: float = 10.0,
        silence_seconds: float = 40.0,
    ) -> None:
        self._http = Http(
            url or os.environ.get(URL_VARIABLE) or URL,
            os.environ.get(KEY_VARIABLE, "").strip() if key is None else key,
            connect_seconds=connect_seconds,
            silence_seconds=silence_seconds,
        )
        self._patience_seconds = patience_seconds
        self._start_seconds = patience_seconds if start_seconds is None else start_seconds
        self._wire: Wire = SseWire(self._http) if wire == "sse" else SocketWire(self._http)

    async def __aenter__(self) -> Self:
        """Connects nowhere yet."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """See `close`."""
        await self.close()

    async def close(self) -> None:
        """End every connection. Streams that are open should have been left before."""
        try:
            await self._wire.close()
        finally:
            await self._http.close()

    def generate(
        self,
        prompt: str | None = None,
        *,
        messages: Sequence[Mapping[str, Any]] | None = None,
        **more: Any,
    ) -> Stream:
        """Text, or with `schema` a structured answer; further fields as of POST /v1/generate."""
        return self.run("generate", _said(prompt=prompt, messages=messages, **more))

    def evaluate(self, stage_name: str, **more: Any) -> Stream:
        """Whether a stage is sufficient; further fields as of POST /v1/evaluate."""
        return self.run("evaluate", {"stage_name": stage_name, **more})

    def breakdown(self, task: str, **more: Any) -> Stream:
        """A plan of tasks; further fields as of POST /v1/breakdown."""
        return self.run("breakdown", {"task": task, **more})

    def reason(self, question: str, **more: Any) -> Stream:
        """An answer in several steps; further fields as of POST /v1/reason."""
        return self.run("reason", {"question": question, **more})

    def batch(self, requests: Sequence[Mapping[str, Any]], **more: Any) -> Stream:
        """Many requests at once; each result is an item; further fields as of POST /v1/batch."""
        return self.run("batch", {"requests": list(requests), **more})

    def run(
        self, recipe: str, body: Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> Stream:
        """A run of any recipe, started when the stream is entered.

        Args:
            recipe: generate, evaluate, breakdown, reason or batch.
            body: as of POST /v1/{recipe}.
            idempotency_key: the same key and body give the same run, over SSE; without it each
                stream has one of its own.
        """
        return Stream(
            self._wire,
            partial(self._wire.start, recipe, body),
            Patience(self._patience_seconds),
            starting=Patience(self._start_seconds),
            key=idempotency_key,
            owned=True,
        )

    def follow(self, run: str, after: str = "0") -> Stream:
        """A run that somebody else has started, behind a cursor; leaving it does not cancel it."""
        return Stream(
            self._wire,
            lambda _key: self._wire.follow(run, after),
            Patience(self._patience_seconds),
            starting=Patience(self._start_seconds),
            after=after,
            owned=False,
        )

    async def begin(
        self, recipe: str, body: Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> dict[str, Any]:
        """Start a run and leave it to itself: its line of GET /v1/runs; read it with `follow`.

        It goes on until its end, unless `body` says otherwise (`on_disconnect`). This and the
        calls below are made once, and raise what the service refuses with.
        """
        headers = {"Prefer": "respond-async"}
        if idempotency_key is not None:
            headers["Idempotency-Key"] = idempotency_key
        return await self._object("POST", f"/v1/{recipe}", body, headers)

    async def runs(self, **query: Any) -> dict[str, Any]:
        """GET /v1/runs: `{runs, total}`, newest first; `limit`, `state`."""
        return await self._get("/v1/runs", query)

    async def snapshot(self, run: str) -> dict[str, Any]:
        """GET /v1/runs/{id}: what there is of a run now."""
        return await self._get(f"/v1/runs/{quote(run, safe='')}", {})

    async def cancel(self, run: str, claim: str | None = None) -> dict[str, Any]:
        """POST /v1/runs/{id}/cancel: `{state, shared}`; `shared`: others still want it."""
        path = f"/v1/runs/{quote(run, safe='')}/cancel{_query(_said(claim=claim))}"
        return await self._object("POST", path)

    async def models(self) -> dict[str, Any]:
        """GET /v1/models."""
        return await self._get("/v1/models", {})

    async def templates(self) -> dict[str, Any]:
        """GET /v1/templates."""
        return await self._get("/v1/templates", {})

    async def usage(self, **query: Any) -> dict[str, Any]:
        """GET /v1/usage: `group_by` ("model,tier"), `since` ("24h")."""
        return await self._get("/v1/usage", query)

    async def invalidate(self, **what: Any) -> int:
        """POST /v1/cache/invalidate, `tag="shop"` say: how many answers were dropped."""
        told = await self._object("POST", "/v1/cache/invalidate", what)
        return int(told["dropped"])

    async def _get(self, path: str, query: Mapping[str, Any]) -> dict[str, Any]:
        return await self._object("GET", path + _query(query))

    async def _object(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        seconds = self._http.silence_seconds
        told = await self._http.call(method, path, body, headers=headers, seconds=seconds)
        return dict(told)


def _said(**fields: Any) -> dict[str, Any]:
    """Fields that have a value; a null would be one, and refused."""
    return {name: value for name, value in fields.items() if value is not None}


def _query(fields: Mapping[str, Any]) -> str:
    said = {name: str(value).lower() if value in {True, False} else value
            for name, value in fields.items()}  # fmt: skip
    return f"?{urlencode(said)}" if said else ""
