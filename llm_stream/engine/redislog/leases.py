"""A name in Redis that has one holder at a time."""

from typing import Final

from llm_stream.engine.redislog.link import Command

_TAKE: Final = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[2] then return holder end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
return ARGV[1]
"""

_FREE: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""


def take(key: str, holder: str, to_lose: str, milliseconds: int) -> Command:
    """Take the lease if it is free, or still with the holder that is to lose it.

    The reply is who has it then.
    """
    return ("EVAL", _TAKE, 1, key, holder, to_lose, milliseconds)


def free(key: str, holder: str) -> Command:
    """Give the lease back if it is still this holder's."""
    return ("EVAL", _FREE, 1, key, holder)
