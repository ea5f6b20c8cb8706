"""A second answer laid over the part of the first that readers have."""

from llm_stream.errors import InvalidOutput
from llm_stream.models.chunks import Calling, Chunk, Reasoning


class Splice:
    """Swallows a new answer while it repeats, character for character, what was sent.

    Only text is compared. Reasoning before the first new text is swallowed: readers have had
    the first call's, as far as it came.

    Args:
        sent: the text readers have; "" where they have only reasoning.

    Attributes:
        caught_up: whether all of it was repeated; then there is nothing left to do.
        diverged: whether the new answer says something else.
    """

    __slots__ = ("_at", "_sent", "caught_up", "diverged")

    def __init__(self, sent: str) -> None:
        self._sent = sent
        self._at = 0
        self.caught_up = False
        self.diverged = False

    def new_of(self, chunk: Chunk) -> Chunk | None:
        """What of the next chunk readers do not have; None: nothing.

        Raises:
            InvalidOutput: the text differs from what was sent, or ends before it (the model's
                doing).
        """
        if isinstance(chunk, str):
            return self._new_text(chunk) or None
        if isinstance(chunk, Reasoning):
            return None
        if isinstance(chunk, Calling):
            return chunk
        # A call of a tool, or the end: both come after all text.
        if self._at < len(self._sent):
            self._diverge()
        self.caught_up = True
        return chunk

    def _new_text(self, piece: str) -> str:
        known = len(self._sent) - self._at
        repeated = piece[:known]
        if not self._sent.startswith(repeated, self._at):
            self._diverge()
        self._at += len(repeated)
        self.caught_up = self._at == len(self._sent)
        return piece[known:]

    def _diverge(self) -> None:
        self.diverged = True
        raise InvalidOutput(
            f"The answer broke off after {len(self._sent)} characters, and the model, asked again, "
            f"says something else after {self._at} of them at the latest."
        )
