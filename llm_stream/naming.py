"""Names that nobody can guess or has used, made without asking the system each time."""

import os
import time
from collections.abc import Callable
from typing import Final

from ulid import base32

POOL_BYTES: Final = 4096
MAX_SEQUENCE: Final = 32**5 - 1
SET_BACK_MS: Final = 1000
"""A clock that is behind by more was set; then names tell its time again, and sort by that."""

# Each byte stands for one letter; 256 is a multiple of 32, so all are equally likely.
_LETTERS: Final = (base32.ENCODE * 8).encode()
_PAIRS: Final = [first + second for first in base32.ENCODE for second in base32.ENCODE]


class _Pool:
    """Random text, cut off in slices: a system call can cost a tenth of a cached answer."""

    def __init__(self, fill: Callable[[], str]) -> None:
        self._fill = fill
        self._text = ""
        self._at = 0

    def take(self, size: int) -> str:
        begin, self._at = self._at, self._at + size
        if self._at > len(self._text):
            self._text = self._fill()
            begin, self._at = 0, size
        return self._text[begin : self._at]

    def clear(self) -> None:
        self._text = ""


_HEX: Final = _Pool(lambda: os.urandom(POOL_BYTES).hex())
_BASE32: Final = _Pool(lambda: os.urandom(POOL_BYTES).translate(_LETTERS).decode())
for _pool in (_HEX, _BASE32):
    # A child process that was forked would go on with its parent's names.
    os.register_at_fork(after_in_child=_pool.clear)


class _Moment:
    """The millisecond of the last ULID, as text, and how many it has had."""

    stamp = 0
    text = ""
    sequence = 0


def token() -> str:
    """80 random bits as 20 hexadecimal digits."""
    return _HEX.take(20)


def ulid() -> str:
    """A new ULID: 26 characters that sort by the time they were made, in one process exactly.

    Of the 80 bits after the time, 25 count within the millisecond and 55 are random.
    """
    now = int(time.time() * 1000)
    moment = _Moment
    # Of one millisecond, or of a clock that wavers: the sequence goes on.
    behind = moment.stamp - now
    if 0 <= behind <= SET_BACK_MS and moment.sequence < MAX_SEQUENCE:
        moment.sequence += 1
    else:
        moment.stamp, moment.sequence = now, 0
        moment.text = base32.encode_timestamp(now.to_bytes(6, "big"))
    sequence = moment.sequence
    counted = _PAIRS[sequence & 1023]
    counted = (
        "000" + counted
        if sequence < 1024
        else base32.ENCODE[sequence >> 20] + _PAIRS[sequence >> 10 & 1023] + counted
    )
    return moment.text + counted + _BASE32.take(11)


def id_text(chars: int) -> str:
    """So many random lower-case letters and digits, five bits each."""
    return _BASE32.take(chars).lower()
