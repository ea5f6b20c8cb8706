"""What tests of the shared log begin with: a way to a real Redis."""

from collections.abc import AsyncIterator

import pytest

from llm_stream.engine.redislog.link import RedisLink

from ...redisserver import RedisServer


@pytest.fixture
async def link(redis_server: RedisServer) -> AsyncIterator[RedisLink]:
    """A way to a real Redis."""
    link = RedisLink(redis_server.url)
    yield link
    await link.close()
