"""The one way from a spec to a launched run, whichever wire asks: may they, is there room."""

from collections.abc import Sequence

from llm_stream.access.principal import Principal
from llm_stream.engine.gate import Gate
from llm_stream.events import kind_of
from llm_stream.launcher import Launch, Turn
from llm_stream.payloads import OUTPUT_TYPES
from llm_stream.recipes.spec import RunSpec
from llm_stream.web.intake import Caller
from llm_stream.web.service import Service


async def admit(service: Service, spec: RunSpec, principal: Principal) -> None:
    """Let them have this run, or another look at it.

    Raises:
        Forbidden: a model or template is not on the key's list (the operator's doing).
        LimitReached: the client has had what it may have.
    """
    if principal.id:
        principal.check(spec, service.catalog.aliases)
        await service.access.limits.admit(principal, len(spec.children) or 1)


async def launch(
    service: Service,
    spec: RunSpec,
    caller: Caller,
    gates: Sequence[Gate] = (),
    turn: Turn = None,
) -> Launch:
    """Start, join or replay, as the caller may.

    Args:
        service: where.
        spec: what.
        caller: for whom.
        gates: to pass before the service's own, the connection's say.
        turn: see `Launcher.launch`.

    Raises:
        Forbidden: a model or template is not on the key's list (the operator's doing).
        LimitReached: the client has had what it may have.
        StreamError: see `Launcher.launch`.
    """
    await admit(service, spec, caller.principal)
    room = service.access.limits.room(caller.principal)
    launched = await service.launcher.launch(
        spec, gates, room, claim=caller.claim, request=caller.request, turn=turn
    )
    if launched.joined:
        service.metrics.joins.inc()
    return launched


def failed_unsent(launch: Launch) -> bool:
    """Whether the run has failed without anything to show: then a status says it best."""
    if launch.joined or launch.run.state != "failed":
        return False
    return not any(kind_of(event) in OUTPUT_TYPES for event in launch.run.events())
