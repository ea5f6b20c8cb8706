"""From a request to its run by `Idempotency-Key`: who asks again by a key gets the same run."""

from collections.abc import Callable

from aiohttp import web

from llm_stream.engine.replay import Replay
from llm_stream.engine.run import Run
from llm_stream.engine.runinfo import Client
from llm_stream.errors import RunExpired, UnknownRun
from llm_stream.launcher import Launch
from llm_stream.recipes.spec import RunSpec
from llm_stream.web.idempotency import claim_of
from llm_stream.web.intake import Caller, new_claim
from llm_stream.web.service import SERVICE, Service
from llm_stream.web.starting import admit, launch


def key_of(request: web.Request) -> str | None:
    """The key of a request, None without one.

    Where there is one a call whose connection is lost can be made again, so its run gets the
    grace that a stream's gets.
    """
    return request.headers.get("Idempotency-Key")


def claim_for(request: web.Request, owner: str) -> str:
    """What names the claim of a call: all calls by one key are one client, whose cancel counts."""
    key = key_of(request)
    return new_claim() if key is None else claim_of(owner, request.path, key)


async def launch_once(
    request: web.Request, body: bytes, caller: Caller, make: Callable[[], RunSpec]
) -> Launch:
    """Start, join, replay, or find again by the request's key; equal keys wait for each other.

    Args:
        request: the request.
        body: its body, by which a key that is used twice is told from one that is used again.
        caller: who asks.
        make: makes the spec.

    Raises:
        IdempotencyConflict: the key was used with another body (the caller's doing).
        StreamError: see `launch`, and what `make` raises.
    """
    service, key = request.app[SERVICE], key_of(request)
    if key is None:
        return await launch(service, make(), caller)
    async with service.idempotency.turn(caller.owner, request.path, key, body) as turn:
        known = await turn.find()
        spec = make()
        while known:
            if (run := await _standing(service, known, caller)) is not None:
                await admit(service, spec, caller.principal)
                run.join(Client(caller.claim, spec.abandon_seconds))
                return Launch(run, joined=run.info.cache != "hit")
            known = await turn.renew(known)
        launched = await launch(service, spec, caller)
        if service.replicas is not None and isinstance(launched.run, Replay):
            # The key leads to it from other replicas as well.
            launched.run.subscribe().close()
        turn.began(launched.run.id)
        return launched


async def _standing(service: Service, run_id: str, caller: Caller) -> Run | None:
    """The run that a key has started; None if its answer is gone or was never to be."""
    try:
        run = await service.runs.find(run_id, caller.owner)
    except (RunExpired, UnknownRun):
        return None
    return run if not run.ending or run.state in {"completed", "failed"} else None
