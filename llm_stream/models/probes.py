"""Asks providers that nobody asks for their lists of models, so that a fault is known before."""

import asyncio
import logging
import math
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Final

from llm_stream.config.providers import Kind
from llm_stream.errors import RateLimited, StreamError, UpstreamTimedOut
from llm_stream.models.resilience.breaker import Breaker
from llm_stream.models.resilience.policy import verdict
from llm_stream.models.wires.endpoint import Endpoint
from llm_stream.models.wires.keycheck import check_key
from llm_stream.models.wires.refusals import blames_key

WITHOUT_LIST: Final = frozenset({404, 405})
"""Statuses of a server that has no list of models to show, and lives."""

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Probed:
    """A provider to probe.

    `seconds` is how long nobody has to have asked it; `breaker` is that of all its models, which
    knows. `failed_at` is when a probe has found it at fault, by the breaker's clock.
    """

    endpoint: Endpoint
    kind: Kind
    seconds: float
    breaker: Breaker
    failed_at: float = -math.inf

    @property
    def failing(self) -> bool:
        """Whether the last probe has failed, and no call was answered since."""
        return self.failed_at > self.breaker.answered_at


class Probes:
    """Probes providers between `start` and `close`. A probe is a GET; it costs no tokens.

    What comes of it its breaker is told as of a call: an answer closes it, and what says that the
    provider is down counts as a failure of all its models. While the breaker is open there is
    no probe either; the one call that is let through afterwards may be one.

    Args:
        providers: which.
        counts: where they are counted by (provider, error code); "ok" for those that were answered.
        clock: monotonic seconds, that of the breakers.
        sleep: waits so many seconds.
    """

    def __init__(
        self,
        providers: Iterable[Probed],
        counts: Counter[tuple[str, str]],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._providers = tuple(providers)
        self._counts = counts
        self._clock = clock
        self._sleep = sleep
        self._tasks: list[asyncio.Task[None]] = []

    def failing(self) -> set[str]:
        """Names of providers that a probe has found at fault; a refused key is one as well."""
        return {each.endpoint.provider for each in self._providers if each.failing}

    def start(self) -> None:
        """Probe from now on."""
        self._tasks = [
            asyncio.create_task(self._watch(each), name=f"probe-{each.endpoint.provider}")
            for each in self._providers
        ]

    async def close(self) -> None:
        """End all probes, those under way as well."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _watch(self, each: Probed) -> None:
        while True:
            idle = self._clock() - each.breaker.used_at
            if idle < each.seconds:
                await self._sleep(each.seconds - idle)
            elif (blocked := each.breaker.blocked_seconds()) is not None:
                await self._sleep(blocked or each.seconds)
            else:
                try:
                    await self._probe(each)
                except Exception:
                    # Without it nobody would know that there are no probes any more.
                    log.exception("probe of %s crashed", each.endpoint.provider)

    async def _probe(self, each: Probed) -> None:
        name, breaker = each.endpoint.provider, each.breaker
        probe, was_failing = breaker.begin(), each.failing
        code, down, alive = "ok", False, True
        try:
            await self._ask(each)
        except StreamError as error:
            code, down, alive = error.code, _says_down(error), error.status in WITHOUT_LIST
            if not (alive or was_failing):
                log.warning("provider.failing: %s: %s", error.code, error.detail)
        except BaseException:
            breaker.told_nothing(probe=probe)
            raise
        self._counts[name, "ok" if alive else code] += 1
        if alive:
            breaker.answered()
            if was_failing:
                log.info("provider.back: %s", name)
            return
        each.failed_at = self._clock()
        if down:
            breaker.failed(probe=probe, model=None)
        else:
            breaker.told_nothing(probe=probe)

    async def _ask(self, each: Probed) -> None:
        key = each.endpoint.key.value()
        try:
            await check_key(each.endpoint, each.kind)
        except StreamError as error:
            if blames_key(error):
                error.other_key = each.endpoint.key.refused(key, error.retry_after_ms)
            raise


def _says_down(error: StreamError) -> bool:
    """Whether the provider works for nobody; one that counts, or looks at keys, works."""
    if isinstance(error, RateLimited) or error.other_key:
        return False
    return isinstance(error, UpstreamTimedOut) or verdict(error) == "again"
