"""POST /v1/tickets: what a page shows in place of its key when it opens a socket or a stream."""

from aiohttp import web

from llm_stream.access.tickets import TICKET_SECONDS, subprotocol
from llm_stream.web.auth import principal_of
from llm_stream.web.negotiation import json_response
from llm_stream.web.service import SERVICE

routes = web.RouteTableDef()


@routes.post("/v1/tickets")
async def give_ticket(request: web.Request) -> web.Response:
    """A ticket for one socket or one stream within 30 s, with all that the key may."""
    ticket = await request.config_dict[SERVICE].access.tickets.give(principal_of(request).id)
    return json_response(
        {
            "ticket": ticket,
            "subprotocol": subprotocol(ticket),
            "expires_in_seconds": TICKET_SECONDS,
        },
        status=201,
        headers={"Cache-Control": "no-store"},
    )
