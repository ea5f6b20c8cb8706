"""Media types: reading a JSON body, choosing how to answer, answering in JSON."""

from collections.abc import Mapping
from typing import Final

import orjson
from aiohttp import hdrs, web

from llm_stream.engine.redislog.limit import time_limit
from llm_stream.errors import NotAcceptable, RequestTimedOut, UnsupportedMediaType
from llm_stream.web.service import SERVICE

SSE_TYPE: Final = "text/event-stream"
JSON_TYPE: Final = "application/json"
NDJSON_TYPE: Final = "application/x-ndjson"


def json_response(
    value: object, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """A JSON response, encoded by orjson."""
    return web.Response(
        body=orjson.dumps(value), status=status, content_type=JSON_TYPE, headers=headers
    )


async def read_body(request: web.Request) -> bytes:
    """The body of a JSON request.

    Raises:
        UnsupportedMediaType: not declared as JSON, or compressed (the caller's doing).
        RequestTimedOut: it did not arrive within `server.body_seconds` (the caller's doing).
    """
    if request.content_type != JSON_TYPE:
        raise UnsupportedMediaType(
            "Send the body as JSON, with 'Content-Type: application/json'.", field="Content-Type"
        )
    if hdrs.CONTENT_ENCODING in request.headers:
        raise UnsupportedMediaType(
            "Send the body uncompressed, without Content-Encoding.", field="Content-Encoding"
        )
    if request.content.is_eof():  # as nearly always; a timer would cost more than the reading
        return await request.read()
    seconds = request.app[SERVICE].settings.server.body_seconds
    try:
        async with time_limit(seconds):
            return await request.read()
    except TimeoutError as error:
        raise RequestTimedOut(
            f"The body of a request has to arrive within {seconds:g} seconds."
        ) from error


def chosen_type(request: web.Request, *offers: str) -> str:
    """The media type to answer with: the one named in `Accept`, else the first offer.

    Raises:
        NotAcceptable: `Accept` excludes all offers (the caller's doing).
    """
    values = request.headers.getall(hdrs.ACCEPT, [])
    if len(values) == 1 and values[0] in offers:
        return str(values[0])
    accepted = [
        part.partition(";")[0].strip().lower() for value in values for part in value.split(",")
    ]
    for offer in offers:
        if offer in accepted:
            return offer
    kind = {"*/*", JSON_TYPE.partition("/")[0] + "/*", ""}
    if not accepted or kind & set(accepted) or "application/problem+json" in accepted:
        return offers[0]
    if "text/*" in accepted and SSE_TYPE in offers:
        return SSE_TYPE
    raise NotAcceptable(f"This call answers with {' or '.join(offers)}.", field="Accept")
