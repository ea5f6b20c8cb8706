"""What is asked of other replicas about an idempotency key: has it started a run there?"""

from typing import Protocol

from llm_stream.errors import IdempotencyConflict


class SharedKeys(Protocol):
    """What all replicas know of keys, by names that tell nothing of them."""

    async def claim(self, name: str, body: str, gone: str) -> tuple[str, str]:
        """The id of the run that the key has started, and "".

        Or "", and a claim to start it: then call `began`, or `free` should that fail. Waits
        while another replica has the claim, until it has a run or its time is over.

        Args:
            name: the key's.
            body: its hash, in hexadecimal.
            gone: id of a run that the key is not to lead to any more, "" for none.

        Raises:
            IdempotencyConflict: the key was used with another body (the caller's doing).
        """

    def began(self, name: str, claim: str, run_id: str) -> None:
        """The key has started this run."""

    def free(self, name: str, claim: str) -> None:
        """No run was started."""


def conflict() -> IdempotencyConflict:
    """The key was used with another body."""
    return IdempotencyConflict(
        "This Idempotency-Key was used with another body. Use a new key.",
        field="Idempotency-Key",
    )
