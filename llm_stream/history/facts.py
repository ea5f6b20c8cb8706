"""How the history is doing."""

from typing import Any, Literal, NamedTuple

State = Literal["starting", "open", "failing", "closed"]


class Facts(NamedTuple):
    """The writer's figures. `last_error` is the kind of the last fault, "" without one."""

    state: State
    queued: int
    written: int
    dropped: int
    failures: int
    last_error: str
    bytes: int

    def describe(self) -> dict[str, Any]:
        """As /health tells it."""
        return self._asdict()
