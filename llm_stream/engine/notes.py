"""What is noted of a run beside its log, where all replicas can read it."""

from typing import Protocol


class SharedNotes(Protocol):
    """Notes by the runs they are of; kept at least as long as a run that ends in time."""

    def note(self, run: str, data: bytes) -> None:
        """Keep this of a run, some time soon; not where nobody can be told."""

    async def read(self, run: str) -> bytes | None:
        """What was noted of a run; None: nothing.

        Raises:
            LogUnavailable: nobody can tell now.
        """
