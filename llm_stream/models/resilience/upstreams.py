"""Every model's `Upstream`, and the routes that answers take over them."""

import random
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Literal

from llm_stream.config import ModelsSection
from llm_stream.errors import ModelResting, StreamError
from llm_stream.models.resilience.breaker import Breaker
from llm_stream.models.resilience.budget import RetryBudget
from llm_stream.models.resilience.places import Admission, Places
from llm_stream.models.resilience.policy import RetryPolicy, verdict
from llm_stream.models.resilience.upstream import Upstream
from llm_stream.models.timers import Timeouts
from llm_stream.payloads import NextAttempt

MAX_MODELS: Final = 256
"""How many models are remembered; where any name can be a model's, a caller could make up more than
there is memory."""

Mending = Literal["spliced", "diverged", "restarted", "lost"]


class Upstreams:
    """What all runs of the service know together about its models.

    Args:
        models: retries, breaker and timers as configured.
        clock: monotonic seconds.
        draw: gives a number from 0 to 1, for the jitter.

    Attributes:
        attempts: calls by (label of the model, error code); "ok" for those that answered.
        retries: calls that were made again, by label.
        fallbacks: failures after which the next model was asked, by the label of the one before.
        mended: what became of answers that broke off in the middle.
        outages: breakers of providers by (name, address).
        probes: questions to idle providers by (name, error code); "ok" as for attempts.
    """

    def __init__(
        self,
        models: ModelsSection,
        *,
        clock: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._models = models
        self._clock = clock
        self._known: OrderedDict[str, Upstream] = OrderedDict()
        self._providers: dict[str, Places] = {}
        self.outages: dict[tuple[str, str], Breaker] = {}
        retries = models.retries
        self.draw = draw
        self.policy = RetryPolicy(
            attempts=retries.attempts,
            initial_seconds=retries.initial_seconds,
            max_seconds=retries.max_seconds,
            max_retry_after_seconds=retries.max_retry_after_seconds,
        )
        self.attempts: Counter[tuple[str, str]] = Counter()
        self.retries: Counter[str] = Counter()
        self.fallbacks: Counter[str] = Counter()
        self.mended: Counter[Mending] = Counter()
        self.probes: Counter[tuple[str, str]] = Counter()

    def of(self, model_id: str) -> Upstream:
        """The one of this id; the last `MAX_MODELS` are kept, and all that are being called."""
        found = self._known.get(model_id)
        if found is None:
            self._known[model_id] = found = self._make(model_id)
            if len(self._known) > MAX_MODELS:
                self._forget_one(found)
        else:
            self._known.move_to_end(model_id)
        return found

    def _forget_one(self, newest: Upstream) -> None:
        """Of those that nobody calls, the one that was asked for longest ago."""
        for each in self._known.values():
            if each.places.idle and each is not newest:
                del self._known[each.model_id]
                return

    def _make(self, model_id: str) -> Upstream:
        models = self._models
        timers = models.per_model_timeouts.get(model_id, models.timeouts)
        return Upstream(
            model_id,
            RetryBudget(models.retries.budget, models.retries.budget_share),
            Breaker(models.breaker.failures, models.breaker.open_seconds, self._clock),
            Timeouts(**timers.model_dump()),
            Places(models.concurrent_calls.get(model_id), models.retries.max_retry_after_seconds),
        )

    def admission(self, model_id: str, provider: str) -> Admission:
        """The places one call of this model needs: its own, and one of its provider."""
        own = self.of(model_id).places
        limit = self._models.provider_concurrent_calls.get(provider)
        if limit is None:
            return Admission(own)
        if provider not in self._providers:
            self._providers[provider] = Places(limit)
        return Admission(own, self._providers[provider])

    def outage(self, provider: str, address: str | None) -> Breaker | None:
        """The breaker of all models behind one address; None where that is not known."""
        return None if address is None else self.breaker_of(provider, address)

    def breaker_of(self, provider: str, address: str) -> Breaker:
        """The breaker of all models behind one address.

        It opens only when several models fail: one that is down takes no others along.
        """
        found = self.outages.get((provider, address))
        if found is None:
            limits = self._models.breaker
            found = self.outages[provider, address] = Breaker(
                limits.provider_failures, limits.open_seconds, self._clock, models=2
            )
        return found

    def down(self) -> set[str]:
        """Names of providers of which too many calls have failed, and none was answered since."""
        return {name for (name, _), breaker in self.outages.items() if breaker.state != "closed"}

    def note_limits(self, model_id: str, remaining: int, reset_seconds: float) -> None:
        """What a provider said of a model's limit: see `Places.note`, and `wires/ratelimits`.

        For wires to call, in the loop, with an id of the catalog.
        """
        self.of(model_id).places.note(remaining, reset_seconds)

    def __iter__(self) -> Iterator[Upstream]:
        return iter(self._known.values())

    def by_label(self, label_of: Callable[[str], str]) -> dict[str, list[Upstream]]:
        """All that are remembered, those together whose models are called the same."""
        found: dict[str, list[Upstream]] = {}
        for upstream in self:
            found.setdefault(label_of(upstream.model_id), []).append(upstream)
        return found

    def route(self, models: Sequence[str], label_of: Callable[[str], str] = str) -> "Route":
        """The way of one answer over these models, the first of which is asked first.

        Args:
            models: ids of the catalog.
            label_of: what a model is called where calls are counted.
        """
        return Route(self, models, label_of)


class Route:
    """Which model one answer is asked of, and which next.

    Attributes:
        model: the one to ask now.
        attempt: number of the call to make now, from 1.
        cause: what a run should say of its failure; None before the first.
        seconds: how long the questions that were answered took, pauses included.
    """

    def __init__(
        self, upstreams: Upstreams, models: Sequence[str], label_of: Callable[[str], str]
    ) -> None:
        self._upstreams = upstreams
        self._label_of = label_of
        self._later = list(models[1:])
        self._failures = 0
        self.model = models[0]
        self.attempt = 1
        self.cause: StreamError | None = None
        self.seconds = 0.0

    @property
    def upstream(self) -> Upstream:
        """What is known of the model to ask now."""
        return self._upstreams.of(self.model)

    def _count(self, code: str) -> None:
        self._upstreams.attempts[self._label_of(self.model), code] += 1

    def answered(self) -> None:
        """The call was answered to its end."""
        self._count("ok")

    def failed(self, error: StreamError, *, better: bool = False) -> None:
        """The call has failed with `error`, which explains the failure better than those before.

        Otherwise the first one stays the cause: what a later model says of a question that was
        not meant for it explains less. One of a model that was really asked is always better
        than one of a model that was left alone.
        """
        self._count(error.code)
        if better or self.cause is None or isinstance(self.cause, ModelResting):
            self.cause = error

    def following(self, error: StreamError) -> NextAttempt | None:
        """Whom to ask after the call has failed with `error`, and when; None: nobody."""
        if verdict(error) == "end":
            return None
        self._failures += 1
        delay = self._upstreams.policy.delay_seconds(self._failures, error, self._upstreams.draw)
        label = self._label_of(self.model)
        if delay is not None and self.upstream.budget.take():
            self._upstreams.retries[label] += 1
        elif not self._later:
            return None
        else:
            self._upstreams.fallbacks[label] += 1
            self.model, delay, self._failures = self._later.pop(0), 0.0, 0
        self.attempt += 1
        return {"model": self.model, "delay_ms": round(delay * 1000)}
