"""What a launcher asks of other replicas about a call: is it under way there?"""

from collections.abc import Callable
from typing import Protocol

from llm_stream.engine.run import Run
from llm_stream.engine.runinfo import Client


class Flights(Protocol):
    """Equal calls under way share one run, whichever replica they came to.

    Attributes:
        keep_spec: told how to run each run again, before it can be found; None: nobody wants it.
    """

    keep_spec: Callable[[str, bytes], None] | None

    async def join(self, key: str, client: Client, owner: str) -> Run | None:
        """The run of another replica that works on this call, joined.

        None: it is to be started here; then call `release` should that fail.
        """

    def release(self, key: str) -> None:
        """The run was not started after all."""
