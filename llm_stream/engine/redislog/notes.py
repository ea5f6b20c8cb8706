"""Notes of runs in Redis; `SharedNotes` to those who have some."""

from llm_stream.engine.redislog.link import RedisLink
from llm_stream.engine.redislog.post import Post
from llm_stream.engine.redislog.records import Keys


class RedisNotes:
    """One text a run.

    Args:
        link: the way to Redis.
        keys: names.
        post: writes what nobody waits for.
        keep_ms: how long a note is kept from when it was made: a run's own time, and that for
            which it is kept when it has ended.
    """

    def __init__(self, link: RedisLink, keys: Keys, post: Post, keep_ms: int) -> None:
        self._link = link
        self._keys = keys
        self._post = post
        self._keep_ms = keep_ms

    def note(self, run: str, data: bytes) -> None:
        """See `SharedNotes.note`."""
        self._post.send(("SET", self._keys.note(run), data, "PX", self._keep_ms))

    async def read(self, run: str) -> bytes | None:
        """See `SharedNotes.read`."""
        (found,) = await self._link.ask([("GET", self._keys.note(run))])
        return bytes(found) if isinstance(found, bytes) else None
