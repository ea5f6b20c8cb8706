"""From a spec to an answer: one launched run, read whole or as it comes."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from aiohttp import web

from llm_stream.engine.fold import Fold
from llm_stream.engine.replay import Replay
from llm_stream.engine.run import Run
from llm_stream.engine.subscription import Subscription
from llm_stream.errors import Problem, RunCancelled
from llm_stream.events import decoded, kind_of
from llm_stream.launcher import Launch
from llm_stream.payloads import OUTPUT_TYPES
from llm_stream.web import sse
from llm_stream.web.intake import Caller
from llm_stream.web.negotiation import json_response
from llm_stream.web.openaidoor.failures import failure_response
from llm_stream.web.service import SERVICE
from llm_stream.web.streaming import Framing
from llm_stream.web.views import run_headers


def headers_of(launched: Launch, caller: Caller) -> dict[str, str]:
    """What every wire says of a run in its headers."""
    return run_headers(launched.run, joined=launched.joined) | {"X-Run-Claim": caller.claim}


async def folded(run: Run, subscription: Subscription) -> Fold:
    """All events of a run, when it has ended.

    Raises:
        RunCancelled: somebody ended it early.
        LogUnavailable: events were lost.
    """
    if isinstance(run, Replay):
        return run.recording.fold
    fold = Fold()
    async for events in subscription.batches():
        for event in events:
            fold.add(event)
    terminal = fold.terminal or {}
    if terminal["type"] == "run.cancelled":
        raise RunCancelled(f"The run was cancelled ({terminal['reason']}).", run=run.id)
    return fold


async def refusal(run: Run, seconds: float) -> Problem | None:
    """The problem of a run that fails before it has said anything; None: it says something.

    Nothing is sent until then, so that a failure has its status and the SDKs can ask again; for so
    many seconds at most: whoever waits, and proxies between, have to hear that somebody is there.
    """
    with suppress(TimeoutError), run.subscribe() as reader:
        async with asyncio.timeout(seconds):
            while await reader.more():
                for event in reader.take():
                    kind = kind_of(event)
                    if kind in OUTPUT_TYPES or kind == "run.completed":
                        return None
                    if kind == "run.failed":
                        problem: Problem = decoded(event)["error"]
                        return problem
    return None


async def streamed(
    request: web.Request,
    run: Run,
    subscription: Subscription,
    headers: dict[str, str],
    framing: Framing,
) -> web.StreamResponse:
    """The run as it comes; a failure before it has said anything has its status instead."""
    problem = await refusal(run, request.app[SERVICE].settings.server.heartbeat_seconds)
    if problem is not None:
        return refused(problem, headers)
    return await sse.stream(request, subscription, headers, framing)


async def whole(
    run: Run,
    subscription: Subscription,
    headers: dict[str, str],
    say: Callable[[Fold], dict[str, Any]],
) -> web.Response:
    """The run when it has ended, as `say` puts it; see `folded` for errors."""
    fold = await folded(run, subscription)
    if fold.terminal and fold.terminal["type"] == "run.failed":
        return refused(fold.terminal["error"], headers)
    return json_response(say(fold), headers=headers)


def refused(problem: Problem, headers: dict[str, str]) -> web.Response:
    """The response of a run that has failed before anything was sent."""
    response = failure_response(problem)
    response.headers.update(headers)
    return response
