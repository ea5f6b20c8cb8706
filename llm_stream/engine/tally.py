"""What a run has produced so far, counted as it is appended."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final, Self

from llm_stream.engine.eventlog import EventLog
from llm_stream.engine.runinfo import Outcome, RunStatistics
from llm_stream.errors import OwnerLost
from llm_stream.payloads import OUTPUT_TYPES, Payload, RunCompleted, TokenCounts

HASH_PIECES: Final = 16
"""Pieces of text that are hashed together: the hash costs as much for a few letters as for many."""

HASH_CHARS: Final = 512
"""A piece of so many is not worth to be kept for that."""


class Tally:
    """Running figures of one run; times in milliseconds since its creation.

    `chunks` counts `text.delta` events of the answer (without `step`), `text_chars` its code
    points. A restart clears text and usage stays: the tokens were spent. `model` is the one that a
    failed call gave way to, None while the one that was asked is at work. `longest_gap_ms` is the
    longest wait between two pieces of output. `waited_seconds` is how long it was somebody else's
    turn: in a queue, or while models were called. `said_chars` is all that models have said,
    reasoning and what a restart took back included. `began` says that it is in no queue any more.
    """

    __slots__ = ("_hash", "_input", "_newest_ms", "_output", "_pieces", "_unhashed", "attempts",
                 "began", "chunks", "first_token_ms", "longest_gap_ms", "model", "queued_ms",
                 "said_chars", "text_chars", "total_ms", "waited_seconds")  # fmt: skip

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._unhashed: list[str] = []
        self._input: int | None = None
        self._output: int | None = None
        self.attempts = 1
        self.model: str | None = None
        self.chunks = 0
        self.text_chars = 0
        self.said_chars = 0
        self.began = False
        self.queued_ms = 0
        self.first_token_ms: int | None = None
        self.total_ms = 0
        self.longest_gap_ms = 0
        self.waited_seconds = 0.0
        self._newest_ms = 0
        self._pieces = 0

    @classmethod
    def of(cls, ending: Mapping[str, Any], chunks: int) -> Self:
        """The figures of a run that has ended with this terminal payload, taking no time."""
        tally = cls()
        tally.chunks = chunks
        tally.text_chars = ending["text_chars"]
        tally.first_token_ms = 0
        tally._input = ending["usage"]["input_tokens"]
        tally._output = ending["usage"]["output_tokens"]
        return tally

    def record(self, log: EventLog, payloads: Sequence[Payload]) -> None:
        """Append payloads to the run's log and take them into account; raises as the log does."""
        if len(payloads) == 1:
            log.append_all(payloads)
            payload = payloads[0]
            if payload["type"] == "text.delta" and "step" not in payload:
                self._take_text(payload["text"], 1, log.newest_ms)
            else:
                self.count(payload, log.newest_ms)
            return
        before = len(log)
        try:
            log.append_all(payloads)
        finally:
            # Of what the log had no room for, nothing was said.
            self.count_all(payloads[: len(log) - before], log.newest_ms)

    def count_all(self, payloads: Sequence[Payload], t_ms: int) -> None:
        """Take payloads that were appended at `t_ms` into account; pieces of text all at once."""
        pieces = [p["text"] for p in payloads if p["type"] == "text.delta" and "step" not in p]
        if len(pieces) != len(payloads) or len(pieces) < 2:
            for payload in payloads:
                self.count(payload, t_ms)
            return
        self._take_text("".join(pieces), len(pieces), t_ms)

    def _note_output(self, t_ms: int, pieces: int) -> None:
        if self.first_token_ms is None:
            self.first_token_ms = t_ms
        elif t_ms - self._newest_ms > self.longest_gap_ms:
            self.longest_gap_ms = t_ms - self._newest_ms
        self._newest_ms = t_ms
        self._pieces += pieces

    def _take_text(self, text: str, pieces: int, t_ms: int) -> None:
        self._note_output(t_ms, pieces)
        self.chunks += pieces
        self.text_chars += len(text)
        self.said_chars += len(text)
        self._unhashed.append(text)
        if len(text) >= HASH_CHARS or len(self._unhashed) >= HASH_PIECES:
            self.settle()

    def settle(self) -> None:
        """Hash what waits for it; to be called as well when the run has ended, however it did."""
        self._hash.update("".join(self._unhashed).encode())
        self._unhashed.clear()

    def count(self, payload: Payload, t_ms: int) -> None:
        """Take a payload that was appended at `t_ms` into account."""
        if payload["type"] == "text.delta" and "step" not in payload:
            self._take_text(payload["text"], 1, t_ms)
        elif payload["type"] in OUTPUT_TYPES:
            self._note_output(t_ms, 1)
        if payload["type"] == "reasoning.delta":
            self.said_chars += len(payload["text"])
        elif payload["type"] == "usage":
            self._input = _plus(self._input, payload["input_tokens"])
            self._output = _plus(self._output, payload["output_tokens"])
        elif payload["type"] == "attempt.failed":
            if following := payload["next"]:
                self.attempts += 1
                self.model = following["model"]
        elif payload["type"] == "run.restarted":
            self._hash = hashlib.sha256()
            self._unhashed.clear()
            self.chunks = self.text_chars = 0
            if payload["reason"] == OwnerLost.code:
                self.model = None  # another replica asks the first one again

    @property
    def mean_gap_ms(self) -> float | None:
        """The time between two pieces of output, on average; None where there are not two."""
        if self.first_token_ms is None or self._pieces < 2:
            return None
        return (self._newest_ms - self.first_token_ms) / (self._pieces - 1)

    def statistics(self, **others: Any) -> RunStatistics:
        """The run's figures, with those that only the run knows."""
        return RunStatistics(
            chunks=self.chunks,
            text_chars=self.text_chars,
            queued_ms=self.queued_ms,
            first_token_ms=self.first_token_ms,
            attempts=self.attempts,
            input_tokens=self._input,
            output_tokens=self._output,
            **others,
        )

    def usage(self) -> TokenCounts:
        """Tokens over all model calls; null where none reported."""
        return {"input_tokens": self._input, "output_tokens": self._output}

    def completed(self, outcome: Outcome) -> RunCompleted:
        """The terminal payload of a run that ended well."""
        self.settle()
        return {
            "type": "run.completed",
            "finish_reason": outcome.finish_reason,
            "result": outcome.result,
            "text_sha256": self._hash.hexdigest(),
            "text_chars": self.text_chars,
            "usage": self.usage(),
            "timings": {
                "queued_ms": self.queued_ms,
                "first_token_ms": self.first_token_ms,
                "total_ms": self.total_ms,
            },
            "attempts": self.attempts,
        }


def _plus(total: int | None, more: int | None) -> int | None:
    return total if more is None else (total or 0) + more
