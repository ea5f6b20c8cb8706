"""What is known of one model beside its answers: whether it may be asked, and how it fared."""

from types import TracebackType
from typing import Final, Self

from llm_stream.errors import ModelResting, RateLimited, StreamError, UpstreamTimedOut
from llm_stream.models.resilience.breaker import Breaker
from llm_stream.models.resilience.budget import RetryBudget
from llm_stream.models.resilience.places import Places
from llm_stream.models.resilience.policy import verdict
from llm_stream.models.timers import Timeouts

PROBED_MS: Final = 1000
"""When to try again while another call finds out whether the model works, in milliseconds."""


TIMERS: Final = frozenset({"connect_seconds", "first_token_seconds", "idle_seconds"})
"""Those whose running out can say that a model is down; a long or slow answer does not."""


class Upstream:
    """One model's budget of retries, breaker and places, shared by all runs.

    Args:
        model_id: id in the catalog.
        budget: its retries.
        breaker: closed at the start.
        patience: its timers as configured.
        places: how many calls of it there may be at once.
    """

    def __init__(
        self,
        model_id: str,
        budget: RetryBudget,
        breaker: Breaker,
        patience: Timeouts,
        places: Places,
    ) -> None:
        self.model_id = model_id
        self.budget = budget
        self.breaker = breaker
        self.places = places
        self.patience = patience

    def check(self, provider: Breaker | None = None) -> None:
        """Say now if the model, or its whole provider, is being left alone.

        Raises:
            ModelResting: it is (the upstream's doing).
        """
        for breaker, whose in ((self.breaker, ""), (provider, " like others of its provider")):
            blocked = None if breaker is None else breaker.blocked_seconds()
            if blocked is not None:
                raise ModelResting(
                    f"{self.model_id}{whose} failed several times in a row and is left alone for a"
                    " moment.",
                    retry_after_ms=int(blocked * 1000) or PROBED_MS,
                )

    def attempt(self, timeouts: Timeouts, provider: Breaker | None = None) -> "Attempt":
        """A call that is about to be made with these timers; `provider` as for `check`."""
        return Attempt(self, timeouts, provider)

    def says_down(self, error: StreamError, timeouts: Timeouts) -> bool:
        """Whether an error means that the model does not work, for others as well.

        A timer counts only if it gave the model as long as configured: a caller in a hurry
        decides for nobody else. Nor does one who asks for more than a limit allows, or a key: a
        provider that counts, or looks at keys, works.
        """
        if isinstance(error, RateLimited) or error.other_key:
            return False
        if not isinstance(error, UpstreamTimedOut):
            return verdict(error) == "again"
        name = (error.field or "").removeprefix("timeouts.")
        if name not in TIMERS:
            return False
        given, usual = getattr(timeouts, name), getattr(self.patience, name)
        return given is not None and usual is not None and given >= usual


class Attempt:
    """One call of a model, as its breakers and its budget see it.

    `with` it around the call: how the body ends is how the call went. An error that is none of
    ours, a cancellation or a reader's leaving say nothing about the model.

    Raises:
        ModelResting: from `with`; nothing may be sent (the upstream's doing).
    """

    __slots__ = ("_breakers", "_probes", "_provider", "_timeouts", "_upstream")

    def __init__(self, upstream: Upstream, timeouts: Timeouts, provider: Breaker | None) -> None:
        self._upstream = upstream
        self._timeouts = timeouts
        self._provider = provider
        self._breakers = (upstream.breaker,) if provider is None else (upstream.breaker, provider)
        self._probes: list[Breaker] = []

    def __enter__(self) -> Self:
        self._upstream.check(self._provider)
        self._probes = [breaker for breaker in self._breakers if breaker.begin()]
        return self

    def has_begun(self) -> None:
        """The first chunk is here: a probe need not wait for the last one to tell."""
        while self._probes:
            self._probes.pop().answered()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        upstream = self._upstream
        down = isinstance(error, StreamError) and upstream.says_down(error, self._timeouts)
        for breaker in self._breakers:
            probe = breaker in self._probes
            if error is None:
                breaker.answered()
            elif down:
                breaker.failed(probe=probe, model=upstream.model_id)
            else:
                breaker.told_nothing(probe=probe)
        if error is None:
            upstream.budget.answered()
