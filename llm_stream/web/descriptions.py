"""GET /openapi.json and /asyncapi.json. What makes them is imported when somebody asks."""

import asyncio

from aiohttp import web

from llm_stream.web.negotiation import JSON_TYPE

routes = web.RouteTableDef()


@routes.get("/openapi.json")
async def openapi(_request: web.Request) -> web.Response:
    """The HTTP surface."""
    return _told(await asyncio.to_thread(_openapi))


@routes.get("/asyncapi.json")
async def asyncapi(_request: web.Request) -> web.Response:
    """The WebSocket and the event streams."""
    return _told(await asyncio.to_thread(_asyncapi))


def _told(document: bytes) -> web.Response:
    return web.Response(body=document, content_type=JSON_TYPE)


def _openapi() -> bytes:
    from llm_stream.web.openapi import document  # noqa: PLC0415 - a quarter of a second

    return document()


def _asyncapi() -> bytes:
    from llm_stream.web.asyncapi import document  # noqa: PLC0415 - as above

    return document()
