"""A request that is known to the byte, and whose answer is at hand, is answered at once.

The first time it takes the usual way: aiohttp, middleware, handler. If that ends with a kept answer
as plain JSON, it is remembered what its head means - everything up to the empty line, byte for
byte. The next time nothing of it is read again, and only what may have changed is asked: who has
the key, what the cache has. What is told of it - headers, metrics, log, account, the run itself -
is the same either way.
"""

import hashlib
import time
from collections import OrderedDict
from email.utils import formatdate
from typing import Final, NamedTuple

from aiohttp import HttpVersion11, hdrs, web

from llm_stream.access.principal import EVERYBODY, Principal
from llm_stream.engine.replay import Replay
from llm_stream.errors import Forbidden, Unauthenticated
from llm_stream.naming import token
from llm_stream.recipes.spec import RunSpec
from llm_stream.web import sse
from llm_stream.web.auth import bearer, check_scope, need_of, principal_of
from llm_stream.web.boundary import HEAD_END, MAX_HEAD_BYTES
from llm_stream.web.connection import Connection
from llm_stream.web.finished import MAX_STREAM_BYTES, FinishedStreams
from llm_stream.web.headers import set_headers
from llm_stream.web.intake import Caller, new_claim
from llm_stream.web.negotiation import JSON_TYPE
from llm_stream.web.requestlog import log_request
from llm_stream.web.service import Service
from llm_stream.web.specmemo import MAX_BODY_BYTES
from llm_stream.web.views import replayed, run_headers

MAX_HEADS: Final = 8192
"""Heads that are remembered, the least recently used forgotten first; each costs 400 bytes."""

STREAM_HEADERS: Final = {
    **sse.HEADERS,
    hdrs.CONNECTION: "keep-alive",
    hdrs.TRANSFER_ENCODING: "chunked",
}

OWN_WORDS: Final = (
    "Idempotency-Key", "Prefer", "X-Request-Id", "traceparent", hdrs.EXPECT, hdrs.ORIGIN,
)  # fmt: skip
"""Headers of requests that have a way of their own."""


class Head(NamedTuple):
    """What the head of a request means.

    `recipe` is that of its `path`, `length` that of its body in bytes, `key` where the client's
    stands in it;
    `streams` says that the answer is an event stream, and not plain JSON.
    """

    path: str
    recipe: str
    length: int
    key: slice | None
    streams: bool


class Express:
    """What is known of requests, and the answers to them.

    Args:
        service: whose answers they are.

    Attributes:
        given: answers given this way.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._heads: OrderedDict[bytes, Head] = OrderedDict()
        self.given = 0
        self._streams = FinishedStreams()
        self._date = (0, "")

    def learn(self, request: web.Request, body: bytes, caller: Caller, replay: Replay) -> None:
        """Remember a request that is answered with a kept answer, as JSON or as a stream."""
        connection, service = request.protocol, self._service
        principal = principal_of(request)
        # What others may have to find is told them on the usual way.
        elsewhere = caller.detached or (not caller.waits and service.replicas is not None)
        long = not caller.waits and replay.recording.size > MAX_STREAM_BYTES
        counted = bool(principal.id) and service.access.limits.counts(principal)
        if not isinstance(connection, Connection) or elsewhere or long or counted:
            return
        if service.tracing is not None or service.cache.shelf.shared:
            return  # it would never be answered here
        head = connection.boundary.head
        if head is None or len(body) > MAX_BODY_BYTES or not _plain(request, head, len(body)):
            return
        key = None
        if principal.id:
            shown = (bearer(request) or "").encode()
            key = slice(place := head.find(shown), place + len(shown))
        recipe = request.path.rpartition("/")[2]
        known = Head(request.path, recipe, len(body), key, streams=not caller.waits)
        self._heads[_digest(head)] = known
        if len(self._heads) > MAX_HEADS:
            self._heads.popitem(last=False)

    def answer(self, data: bytes) -> bytes | None:
        """See `Express` in `web/connection`."""
        end = data.find(HEAD_END)
        if end < 0 or end > MAX_HEAD_BYTES:
            return None
        name = _digest(data[:end])
        head = self._heads.get(name)
        service = self._service
        if head is None or service.draining.is_set():
            return None
        self._heads.move_to_end(name)
        body = data[end + len(HEAD_END) :]
        if len(body) != head.length:
            return b"" if len(body) < head.length else None
        began = time.perf_counter()
        request = f"req_{token()}"
        key = None if head.key is None else data[head.key].decode("latin-1")
        replay = self._replay(head, key, body, request)
        if replay is None:
            return None
        self.given += 1
        answer = (self._stream if head.streams else self._json)(replay, request)
        metrics = service.metrics
        metrics.observed(hdrs.METH_POST, head.path, time.perf_counter() - began)
        metrics.responded(hdrs.METH_POST, head.path, 200)
        about = {"run": replay.id, "cache": "hit"}
        log_request(request, hdrs.METH_POST, head.path, status=200, began=began, about=about)
        return answer

    def _replay(self, head: Head, key: str | None, body: bytes, request: str) -> Replay | None:
        """The kept answer, if they who ask may have it; None: the usual way finds out."""
        service = self._service
        principal = self._principal(head.path, key)
        if principal is None:
            return None
        spec = service.specs.known(head.recipe, body, principal.owner, waits=not head.streams)
        if spec is None or not self._may(principal, spec):
            return None
        return service.launcher.at_hand(spec, request)

    def _principal(self, path: str, key: str | None) -> Principal | None:
        """Who asks; None: the usual way says why they may not."""
        roster = self._service.access.roster
        if key is None or not roster.asks_for_keys:
            return EVERYBODY if key is None and not roster.asks_for_keys else None
        try:
            principal = roster.of_key(key)
            check_scope(principal, need_of(hdrs.METH_POST, path) or "")
        except (Forbidden, Unauthenticated):
            return None
        return principal

    def _may(self, principal: Principal, spec: RunSpec) -> bool:
        """Whether they may have this run, as far as that is known without waiting."""
        if not principal.id:
            return True
        try:
            principal.check(spec, self._service.catalog.aliases)
        except Forbidden:
            return False
        return not self._service.access.limits.counts(principal)

    def _json(self, replay: Replay, request: str) -> bytes:
        body = replayed(replay.info, replay.recording)
        headers = self._headers(replay, request)
        headers[hdrs.CONTENT_TYPE] = JSON_TYPE
        headers[hdrs.CONTENT_LENGTH] = str(len(body))
        return _head(headers) + body

    def _stream(self, replay: Replay, request: str) -> bytes:
        body = self._streams.stream(replay)
        headers = self._headers(replay, request)
        headers.update(STREAM_HEADERS)
        return b"%b%x\r\n%b\r\n0\r\n\r\n" % (_head(headers), len(body), body)

    def _headers(self, replay: Replay, request: str) -> dict[str, str]:
        headers = run_headers(replay, joined=False)
        headers["X-Run-Claim"] = new_claim()
        headers[hdrs.DATE] = self._today()
        if self._service.settings.server.allowed_origins:
            headers[hdrs.VARY] = hdrs.ORIGIN
        set_headers(headers, request)
        return headers

    def _today(self) -> str:
        """The time as HTTP has it, made once a second."""
        now = int(time.time())
        if now != self._date[0]:
            self._date = now, formatdate(now, usegmt=True)
        return self._date[1]


def _digest(head: bytes) -> bytes:
    """What a head is known by: it may have a client's key in it, which is not kept."""
    return hashlib.blake2b(head, digest_size=16).digest()


def _plain(request: web.Request, head: bytes, length: int) -> bool:
    """Whether this head says all there is to say, and nothing that is only for once."""
    line = f"POST {request.raw_path} HTTP/1.1\r\n".encode("utf-8", "surrogateescape")
    if not head.startswith(line) or request.version != HttpVersion11 or not request.keep_alive:
        return False
    headers = request.headers
    return request.content_length == length and not any(name in headers for name in OWN_WORDS)


def _head(headers: dict[str, str]) -> bytes:
    lines = "\r\n".join([f"{name}: {value}" for name, value in headers.items()])
    return f"HTTP/1.1 200 OK\r\n{lines}\r\n\r\n".encode()


EXPRESS: Final = web.AppKey("express", Express)
