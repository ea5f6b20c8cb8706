"""Who makes a request, and whether they may: one table of routes, deny by default."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import hdrs, web

from llm_stream.access.principal import EVERYBODY, Principal
from llm_stream.access.tickets import of_subprotocol
from llm_stream.errors import Forbidden, Unauthenticated
from llm_stream.web.service import SERVICE

PUBLIC: Final = "public"
"""No key is needed: the page, its documents, and what orchestrators ask."""

ANY: Final = "any key"
"""Every key that holds is enough."""

SOCKET: Final = "/v1/ws"

READ, CREATE, CANCEL, KEEP = "run:read", "run:create", "run:cancel", "cache:write"

NEEDS: Final[dict[str, str]] = {
    "GET /": PUBLIC,
    "GET /static/{path}": PUBLIC,
    "GET /docs": PUBLIC,
    "GET /docs/{path}": PUBLIC,
    "GET /openapi.json": PUBLIC,
    "GET /asyncapi.json": PUBLIC,
    "GET /livez": PUBLIC,
    "GET /readyz": PUBLIC,
    "GET /health": ANY,
    "GET /metrics": "metrics",
    "POST /v1/generate": CREATE,
    "POST /v1/evaluate": CREATE,
    "POST /v1/breakdown": CREATE,
    "POST /v1/reason": CREATE,
    "POST /v1/batch": CREATE,
    "POST /v1/chat/completions": CREATE,
    "POST /v1/responses": CREATE,
    "GET /v1/responses/{run}": READ,
    "POST /v1/responses/{run}/cancel": CANCEL,
    "POST /query": CREATE,
    "POST /evaluate_sufficiency": CREATE,
    "GET /v1/runs": READ,
    "GET /v1/runs/{run}": READ,
    "GET /v1/runs/{run}/events": READ,
    "POST /v1/runs/{run}/cancel": CANCEL,
    # Each command on it needs its own scope.
    f"GET {SOCKET}": ANY,
    "POST /v1/tickets": ANY,
    "GET /v1/models": ANY,
    "GET /v1/models/{name}": ANY,
    "GET /v1/templates": ANY,
    "GET /v1/templates/{name}": ANY,
    "POST /v1/templates/{name}/render": ANY,
    "GET /v1/usage": READ,
    "GET /v1/history": READ,
    "GET /v1/history/{run}": READ,
    "GET /v1/cache": READ,
    "GET /v1/cache/{key}": READ,
    "DELETE /v1/cache/{key}": KEEP,
    "POST /v1/cache/invalidate": KEEP,
    "POST /v1/cache/{key}/refresh": KEEP,
}
"""Method and route -> the scope it needs. A route that is not here is refused to everybody."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

PRINCIPAL: Final = web.RequestKey("principal", Principal)


def principal_of(request: web.Request) -> Principal:
    """Who makes this request; everybody where no keys are asked for."""
    principal: Principal = request.get(PRINCIPAL, EVERYBODY)
    return principal


def need_of(method: str, path: str) -> str | None:
    """What a route needs, by its pattern; None: nobody has said, so nobody may."""
    return NEEDS.get(f"{'GET' if method == hdrs.METH_HEAD else method} {path}")


def check_scope(principal: Principal, scope: str) -> None:
    """Raise unless the principal has this scope.

    Raises:
        Forbidden: they have not (the operator's doing).
    """
    if not principal.may(scope):
        raise Forbidden(f"Your key has not the scope {scope!r}.")


async def admitted(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer if whoever asks may; what is under way ends when their key does.

    Raises:
        StreamError: they may not.
    """
    route = request.match_info.route.resource
    if route is None:
        return await handler(request)  # it raises what is wrong with the path
    principal = request[PRINCIPAL] = await admit(request, route.canonical)
    task = asyncio.current_task()
    if task is None or not principal.id or route.canonical == SOCKET:
        return await handler(request)
    with request.app[SERVICE].access.presence.here(principal.id, task.cancel):
        return await handler(request)


async def admit(request: web.Request, path: str) -> Principal:
    """Find out who makes the request to the route `path`, and refuse what they may not.

    Raises:
        Unauthenticated: a key is needed, and there is none that holds (the caller's doing).
        Forbidden: the key has not the scope (the operator's doing).
        LogUnavailable: the ticket waits in a Redis that does not answer now.
    """
    need = need_of(request.method, path)
    if need == PUBLIC:
        return EVERYBODY
    if need is None:
        raise Forbidden("Nobody may do this.")
    principal = await _authenticated(request)
    if need != ANY:
        check_scope(principal, need)
    return principal


def bearer(request: web.Request) -> str | None:
    """The client key that the request shows, if it shows one."""
    kind, _, credential = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    return credential.strip() if kind.lower() == "bearer" else None


async def _authenticated(request: web.Request) -> Principal:
    access = request.app[SERVICE].access
    if (key := bearer(request)) is not None:
        return access.roster.of_key(key)
    if ticket := _ticket(request):
        return access.roster.of_client(await access.tickets.take(ticket))
    raise Unauthenticated("Send your client key: 'Authorization: Bearer lls_...'.")


def _ticket(request: web.Request) -> str:
    """What a browser shows where it can set no header: only to read, or to open a socket."""
    if request.method != hdrs.METH_GET:
        return ""
    for line in request.headers.getall(hdrs.SEC_WEBSOCKET_PROTOCOL, ()):
        for name in line.split(","):
            if ticket := of_subprotocol(name.strip()):
                return ticket
    return request.query.get("ticket", "")
