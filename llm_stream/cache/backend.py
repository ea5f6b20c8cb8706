"""aiocache without the client of Redis, which it imports wherever it is installed.

7 MB that only who keeps entries in Redis has to have; `cache/redisshelf` imports it itself.
"""

from llm_stream.lateimports import without

with without("redis"):
    from aiocache import SimpleMemoryCache
    from aiocache.serializers import BaseSerializer

__all__ = ["BaseSerializer", "SimpleMemoryCache"]
