"""What the log of an ended run says, read once for all that is recorded of it."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, Final

import orjson

from llm_stream.engine.fold import Fold
from llm_stream.engine.recording import Recording, Said
from llm_stream.engine.run import Run
from llm_stream.events import apart

DELTAS: Final = frozenset({"text.delta", "reasoning.delta"})

OPENING: Final = frozenset({"run.queued", "run.started"})
"""What tells of the run only what is known of it anyway."""

KEPT: Final = DELTAS | {"usage"}
"""What a recording keeps of the commonest answers; of others `Recording.of` knows."""


class Reading:
    """The events of a run.

    Args:
        run: it; its log is sealed.

    Attributes:
        payloads: what they say but its opening; texts that follow each other are one.
        fold: that, folded.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        events = run.events()
        self._kinds, self._times, self._bodies = apart(events)
        self.payloads = list(_payloads(self._kinds, self._bodies))
        self.fold = Fold()
        for payload in self.payloads:
            self.fold.add_payload(payload["type"], payload)

    def recording(self) -> Recording:
        """As `Recording.of`; the run has completed."""
        kinds, end = self._kinds, len(self._kinds) - 1
        begin = next((place for place, kind in enumerate(kinds) if kind in KEPT), end)
        if set(kinds[begin:end]) - KEPT or set(kinds[:begin]) - OPENING:
            return Recording.of(self._run)
        kept = slice(begin, end)
        return Recording.made(
            self._run.info,
            dict(self.payloads[-1]),
            Said(kinds[kept], self._times[kept], self._bodies[kept]),
        )


def _payloads(kinds: Sequence[str], bodies: Sequence[bytes]) -> Iterator[dict[str, Any]]:
    end = 0
    for kind, same in groupby(kinds):
        start, end = end, end + len(list(same))
        text = _joined(kind, bodies[start:end]) if kind in DELTAS else None
        if text is not None:
            yield {"type": kind, "text": text}
        elif kind not in OPENING:
            yield from (orjson.loads(b"{" + body) for body in bodies[start:end])


def _joined(kind: str, bodies: Sequence[bytes]) -> str | None:
    """All their texts; None: they say more than texts, of which step they are.

    A body has no line break, and no text in it has a quote that is not escaped.
    """
    mark = b'"type":"%b","text":' % kind.encode()
    said, between = b"\n".join(bodies), b"}\n" + mark
    if not said.startswith(mark) or said.count(between) != len(bodies) - 1:
        return None
    try:
        return "".join(orjson.loads(b"[%b]" % said.replace(between, b",")[len(mark) : -1]))
    except orjson.JSONDecodeError:
        return None
