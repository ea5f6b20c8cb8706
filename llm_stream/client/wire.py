"""What a wire to the service does: open a run, and hand on what arrives until it is cut."""

from collections.abc import AsyncIterator, Mapping
from typing import Any, NamedTuple, Protocol

Told = dict[str, Any]
"""An event of a run, decoded (docs/protocol.md, "Events")."""


class Gap(NamedTuple):
    """What was between two cursors is lost."""

    after: str
    first: str


class GoAway(NamedTuple):
    """The instance is shutting down; come back after so many milliseconds."""

    reconnect_after_ms: int


class End(NamedTuple):
    """The service says that nothing follows."""


class Beat(NamedTuple):
    """The service lives, and has nothing to say."""


Frame = Told | Gap | GoAway | End | Beat


class Opened(NamedTuple):
    """What is known of a run as soon as it is open.

    `claim` is what a cancel shows: over HTTP the service's word, on a socket which one it was.
    """

    run: str
    cache: str
    claim: str


class Feed(Protocol):
    """One connection's part of one run."""

    opened: Opened

    def frames(self) -> AsyncIterator[Frame]:
        """What arrives, in order; ends where the service ended it.

        Raises:
            Unreachable: the connection broke or fell silent.
        """

    async def close(self) -> None:
        """Stop reading. Never raises for a connection that is gone."""


class Wire(Protocol):
    """Opens runs. Both ways raise what `problems` has: the service's refusal, or `Unreachable`."""

    async def start(self, recipe: str, body: Mapping[str, Any], key: str) -> Feed:
        """Start a run; sent again with the same `key` it is the same one."""

    async def follow(self, run: str, after: str) -> Feed | None:
        """Read a run behind a cursor; None: there is nothing behind it."""

    async def leave(self, opened: Opened, *, ended: bool) -> None:
        """A reader of a run that `start` has opened is gone; called once.

        Unless the run has ended it is wanted no more, and ends unless others want it.
        """

    async def close(self) -> None:
        """End every connection; feeds that are open end as if they were cut, and none is opened."""
