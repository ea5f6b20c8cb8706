"""Idempotency keys that all replicas have in common.

A key is claimed before its run is started and holds the run's id afterwards, so of equal calls
that reach several replicas at once the first starts a run and the others wait for its id.
"""

import asyncio
from typing import Final

from llm_stream.engine.idempotency import conflict
from llm_stream.engine.redislog import leases
from llm_stream.engine.redislog.link import RedisLink
from llm_stream.engine.redislog.post import Post
from llm_stream.engine.redislog.records import Keys
from llm_stream.errors import LogUnavailable
from llm_stream.naming import token

CLAIM_MS: Final = 10_000
"""How long a claim holds; a launch, which asks caches and other replicas, takes less."""

PAUSES: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32)
"""Seconds between looks at somebody's claim; the last again and again, until it is over."""

DIGEST_CHARS: Final = 64
"""Of a SHA-256 in hexadecimal; `?` and a token follow in a claim, `=` and the id of a run."""


class RedisIdempotency:
    """Which run each key started, wherever it came in; `SharedKeys` to those who ask.

    Args:
        link: the way to Redis.
        keys: names.
        post: writes what nobody waits for.
        retention_ms: how long a key is remembered.
    """

    def __init__(self, link: RedisLink, keys: Keys, post: Post, retention_ms: int) -> None:
        self._link = link
        self._keys = keys
        self._post = post
        self._retention_ms = retention_ms

    async def claim(self, name: str, body: str, gone: str) -> tuple[str, str]:
        """See `SharedKeys.claim`; where Redis does not answer, each replica works for itself."""
        ours, to_lose = f"{body}?{token()}", f"{body}={gone}"
        key = self._keys.idempotency(name)
        take = leases.take(key, ours, to_lose, CLAIM_MS)
        looks = 0
        try:
            while True:
                (reply,) = await self._link.ask([take])
                holder: str = reply.decode(errors="replace")
                if holder == ours:
                    return "", ours
                if holder[:DIGEST_CHARS] != body:
                    break
                if holder[DIGEST_CHARS : DIGEST_CHARS + 1] == "=":
                    return holder[DIGEST_CHARS + 1 :], ""
                await asyncio.sleep(PAUSES[min(looks, len(PAUSES) - 1)])
                looks += 1
        except LogUnavailable:
            # It may have been obeyed. And if Redis is back when the run has begun, it is told.
            return "", ours
        except asyncio.CancelledError:
            self.free(name, ours)
            raise
        raise conflict()

    def began(self, name: str, claim: str, run_id: str) -> None:
        """See `SharedKeys.began`."""
        key, settled = self._keys.idempotency(name), f"{claim[:DIGEST_CHARS]}={run_id}"
        self._post.send(leases.take(key, settled, claim, self._retention_ms))

    def free(self, name: str, claim: str) -> None:
        """See `SharedKeys.free`."""
        self._post.send(leases.free(self._keys.idempotency(name), claim))
