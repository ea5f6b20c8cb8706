"""Places that have to be asked for: equal calls wait for the first, and need none if they join."""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

from llm_stream.engine.gate import Pass, Room

Entered = TypeVar("Entered")


class Admission(Generic[Entered]):
    """Lets calls in one by one where they are equal, while they wait for a place."""

    def __init__(self) -> None:
        self._asking: dict[str, asyncio.Event] = {}

    async def enter(
        self,
        room: Room,
        party: str,
        key: str | None,
        *,
        join: Callable[[], Entered | None],
        start: Callable[[Pass], Entered],
    ) -> Entered:
        """What `start` makes of a place in the room, or `join` does without one.

        Args:
            room: where the place is to be.
            party: whose it is.
            key: what equal calls have in common; None: it waits for nobody.
            join: called when an equal call may have begun; None if none has that can be joined.
            start: has the place from then on, unless it raises.

        Raises:
            TooManyRuns: there is no place.
            StreamError: see `start`.
        """
        while key is not None and (before := self._asking.get(key)) is not None:
            await before.wait()
            # In the turn in which the first has begun, before it could have ended.
            if (joined := join()) is not None:
                return joined
        asking = asyncio.Event()
        if key is not None:
            self._asking[key] = asking
        place, started = None, False
        try:
            place = await room.admit(party)
            if (joined := join()) is not None:
                return joined
            entered = start(place)
            started = True
            return entered
        finally:
            if key is not None:
                del self._asking[key]
            asking.set()
            if place is not None and not started:
                place.leave()
