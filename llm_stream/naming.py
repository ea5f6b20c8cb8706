"""Names that nobody can guess or has used, made without asking the system each time."""

import os
import time
from functools import lru_cache
from typing import Final

from ulid import base32

POOL_BYTES: Final = 4096
MAX_SEQUENCE: Final = 0xFFFFFF

# A system call can cost as much as a tenth of a cached answer; a slice of many bytes does not.
_POOL: Final = bytearray()
# A child process that was forked would go on with its parent's names.
os.register_at_fork(after_in_child=_POOL.clear)
_LAST: Final = [0, 0]
# Two letters at a time: the library's own coding of the last 80 bits takes twice as long.
_PAIRS: Final = [first + second for first in base32.ENCODE for second in base32.ENCODE]
_SHIFTS: Final = range(70, -1, -10)
_stamp_text = lru_cache(1)(base32.encode_timestamp)


def _random(size: int) -> bytes:
    if len(_POOL) < size:
        _POOL[:] = os.urandom(POOL_BYTES)
    taken = bytes(_POOL[-size:])
    del _POOL[-size:]
    return taken


def token() -> str:
    """80 random bits as 20 hexadecimal digits."""
    return _random(10).hex()


def ulid() -> str:
    """A new ULID: 26 characters that sort by the time they were made, in one process exactly."""
    now = int(time.time() * 1000)
    # Of one millisecond, or of a clock set back: the sequence goes on.
    _LAST[:] = [_LAST[0], _LAST[1] + 1] if now <= _LAST[0] and _LAST[1] < MAX_SEQUENCE else [now, 0]
    stamp, sequence = _LAST
    rest = sequence << 56 | int.from_bytes(_random(7), "big")
    pairs = "".join([_PAIRS[rest >> shift & 1023] for shift in _SHIFTS])
    return _stamp_text(stamp.to_bytes(6, "big")) + pairs
