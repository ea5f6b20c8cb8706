"""Who still wants a run: the clients that claimed it, its readers, and how patient they are."""

import asyncio
from collections.abc import Callable

from llm_stream.engine.runinfo import Client


def _nothing() -> None:
    """The run has ended."""


class Interest:
    """The policy about one run; it decides, the run acts.

    Args:
        client: who launched the run.
        abandon: called when nobody has read for that long.

    Attributes:
        claims: clients that launched or joined the run and have not released it; the seconds
            each wants the run to go on without readers, None = for ever.
        readers: subscriptions open now.
        patience_seconds: how long the run goes on without a reader; None = for ever.
    """

    def __init__(self, client: Client, abandon: Callable[[], object]) -> None:
        self.claims = {client.claim: client.abandon_seconds}
        self.readers = 0
        self.patience_seconds = client.abandon_seconds
        self._released: set[str] = set()
        self._forgotten: dict[str, float | None] = {}
        self._abandon = abandon
        self._timer: asyncio.TimerHandle | None = None
        self._over = False
        self._heir: Interest | None = None

    def join(self, client: Client) -> None:
        """One more client wants the run; its patience counts if it is the longer one."""
        self.claims[client.claim] = client.abandon_seconds
        self._released.discard(client.claim)
        self._forgotten.pop(client.claim, None)
        if self.patience_seconds is not None:
            longer = client.abandon_seconds
            self.patience_seconds = None if longer is None else max(self.patience_seconds, longer)
        if self._timer is not None:
            self._disarm()
            self._arm()

    def release(self, claim: str | None) -> bool:
        """A client wants the run no more; whether nobody is left who does.

        A claim is released once, however often its client asks, until it joins again. Who has
        no claim speaks for the only one there is, but not for one of several.
        """
        if claim is not None and claim in self._released:
            return False
        if claim is not None:
            self.recall(claim)  # it was not gone
        if claim is not None and claim in self.claims:
            del self.claims[claim]
            self._released.add(claim)
            # Who went and wanted it to go on is not spoken for by who joined it.
            return not self.claims and None not in self._forgotten.values()
        if len(self.claims) > 1:
            return False
        self.claims.clear()
        return not self.claims

    def forget(self, claim: str) -> None:
        """A client is gone without a word: it decides nothing any more, readers do.

        If it wanted the run to go on for ever, no release of another's claim ends the run.
        """
        if claim in self.claims:
            self._forgotten[claim] = self.claims.pop(claim)

    def recall(self, claim: str) -> None:
        """A client that was forgotten is back, and decides again."""
        if claim in self._forgotten:
            self.claims[claim] = self._forgotten.pop(claim)

    def reader_came(self) -> None:
        """A subscription was opened."""
        self.readers += 1
        self._disarm()

    def reader_left(self) -> None:
        """A subscription was closed."""
        self.readers -= 1
        if not self.readers:
            if self._heir is not None:
                self._heir.reader_left()
                self._heir = None
            self._arm()

    def expect(self) -> None:
        """Somebody has to read from now on: patience begins, as if the last reader had left."""
        if not self.readers:
            self._arm()

    def hand_on(self, heir: "Interest") -> None:
        """The readers there are now read what another run says: together they are one of its."""
        if self.readers:
            heir.reader_came()
            self._heir = heir

    def close(self) -> None:
        """The run has ended: nothing is decided any more."""
        self._over = True
        self._disarm()
        self._abandon = _nothing  # it holds the run, and the run holds this

    def _arm(self) -> None:
        if not self._over and self.patience_seconds is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self.patience_seconds, self._abandon)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class NoInterest(Interest):
    """That in runs which had ended when they began: one for all of them, it keeps nothing."""

    def __init__(self) -> None:
        super().__init__(Client(), lambda: None)
        self.close()

    def join(self, client: Client) -> None:
        """Nothing to wait for."""

    def release(self, claim: str | None) -> bool:
        """Nothing to end."""
        return False

    def forget(self, claim: str) -> None:
        """Nothing was promised."""

    def reader_came(self) -> None:
        """Readers are not counted."""

    def reader_left(self) -> None:
        """Readers are not counted."""
