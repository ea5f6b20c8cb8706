"""Everything about who may do what, as one part of a service."""

import asyncio
from dataclasses import dataclass, field

from llm_stream.access.limits import ClientLimits
from llm_stream.access.presence import Presence
from llm_stream.access.roster import Roster
from llm_stream.access.tickets import MemoryTickets, Tickets


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Who has a key, what they may have, what they have open, and their tickets."""

    roster: Roster
    limits: ClientLimits = field(default_factory=ClientLimits)
    tickets: Tickets = field(default_factory=lambda: Tickets(MemoryTickets()))
    presence: Presence = field(default_factory=Presence)

    async def open(self) -> None:
        """Read who has a key, and notice changes from now on; whoever loses a key loses all open.

        Raises:
            ClientFileFault: the file of clients cannot be understood (the operator's doing).
            OSError: it cannot be read.
        """
        self.roster.on_gone = self.presence.gone
        await asyncio.to_thread(self.roster.load)
        self.roster.start()
        self.limits.start()

    async def close(self) -> None:
        """Notice nothing any more; return when all is counted that was spent or is free again."""
        await self.roster.close()
        await self.limits.close()
