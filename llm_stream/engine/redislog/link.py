"""The way to Redis: calls that never take long, and a breaker for when they would."""

import asyncio
import logging
import math
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any, Final

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError
from redis.maint_notifications import MaintNotificationsConfig

from llm_stream.engine.redislog.limit import time_limit
from llm_stream.errors import LogUnavailable

CALL_SECONDS: Final = 0.25
"""Longest call; a Redis that is slower is treated as one that is not there."""

BREAK_SECONDS: Final = 1.0
"""How long nobody asks after a call has failed; then one asks for all."""

LISTEN_SECONDS: Final = 5.0
"""Silence after which a listener asks whether the connection still is one."""

CALLS_AT_ONCE: Final = 16
"""Connections that are used at the same time."""

Command = tuple[Any, ...]
"""A command's name and its arguments."""

OF_ONE_KEY: Final = "WRONGTYPE"
"""In what Redis says of one key; whatever else it refuses, it refuses to all."""

log = logging.getLogger(__name__)


class RedisLink:
    """One client of one Redis. Every call ends within a quarter of a second.

    Args:
        url: `redis://host:port/db`, `rediss://` or `unix://`.
        clock: monotonic seconds.

    Attributes:
        broken: whether the last call has failed; then most calls fail at once.
        failures: calls that have failed.
        on_call: told of the seconds each call took; must not raise.
        on_listening: told each time that Redis has begun to pass messages on; must not raise.
    """

    def __init__(self, url: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        never = Retry(NoBackoff(), 0)
        # With them the library uses pooled connections that the server has closed meanwhile.
        unnotified = MaintNotificationsConfig(enabled=False)
        self._redis = Redis.from_url(
            # The limit of a call covers its connection; the library's own would not wait for a
            # busy loop.
            url,
            socket_timeout=None,
            socket_connect_timeout=None,
            retry=never,
            maint_notifications_config=unnotified,
        )
        self._listener = Redis.from_url(
            url, socket_connect_timeout=CALL_SECONDS, retry=never,
            health_check_interval=LISTEN_SECONDS, maint_notifications_config=unnotified,
        )  # fmt: skip
        self._clock = clock
        self._ask_again_at = 0.0
        self._slots = asyncio.Semaphore(CALLS_AT_ONCE)
        self._back_at = -math.inf
        self.broken = False
        self.failures = 0
        self.on_call: Callable[[float], None] = lambda _seconds: None
        self.on_listening: Callable[[], None] = lambda: None

    @property
    def back_seconds(self) -> float:
        """How long ago Redis has come back from the last outage; infinite without one."""
        return self._clock() - self._back_at

    async def send(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands in one go; the replies, in their order.

        What Redis refuses is a `ResponseError` in its place. Whether commands were obeyed is not
        known after an error.

        Raises:
            LogUnavailable: no answer in time, or none in the last second (the operator's doing).
        """
        # A burst waits here, not for connections: its length says nothing about Redis.
        async with self._slots:
            return await self._send(commands)

    async def ask(self, commands: Sequence[Command]) -> list[Any]:
        """`send`, where a refusal is as bad as no answer.

        Raises:
            LogUnavailable: no answer, or one of the commands was refused (the operator's doing).
        """
        replies = await self.send(commands)
        for reply in replies:
            if isinstance(reply, ResponseError):
                raise _refusal() from reply
        return replies

    async def ask_each(self, commands: Sequence[Command]) -> list[Any]:
        """`ask`; but a key that holds something else is no reply, `None`, and no reason to fail.

        Raises:
            LogUnavailable: see `ask`.
        """
        replies = await self.send(commands)
        for place, reply in enumerate(replies):
            if isinstance(reply, ResponseError):
                if OF_ONE_KEY not in str(reply):
                    raise _refusal() from reply
                replies[place] = None
        return replies

    async def _send(self, commands: Sequence[Command]) -> list[Any]:
        began = self._clock()
        if self.broken and began < self._ask_again_at:
            raise LogUnavailable("The shared log does not answer.", retry_after_ms=1000)
        # Others wait while this one asks whether it is back.
        self._ask_again_at = began + BREAK_SECONDS
        try:
            async with (
                time_limit(CALL_SECONDS),
                self._redis.pipeline(transaction=False) as pipeline,
            ):
                for command in commands:
                    pipeline.execute_command(*command)
                replies: list[Any] = await pipeline.execute(raise_on_error=False)
            for reply in replies:
                # A connection lost in mid-reply is told in place of each reply that did not come.
                if isinstance(reply, Exception) and not isinstance(reply, ResponseError):
                    raise reply
        except (RedisError, OSError, TimeoutError) as error:
            self._fail(error)
            raise LogUnavailable("The shared log does not answer.", retry_after_ms=1000) from error
        finally:
            self.on_call(self._clock() - began)
        if self.broken:
            log.warning("redis.back")
            self.broken = False
            self._back_at = self._clock()
        return replies

    def _fail(self, error: Exception) -> None:
        self.failures += 1
        self._ask_again_at = self._clock() + BREAK_SECONDS
        if not self.broken:
            self.broken = True
            log.warning("redis.failed: %s", error or type(error).__name__)

    async def messages(self, channel: str) -> AsyncGenerator[bytes]:
        """What is published on the channel from now on, for ever.

        A lost connection is replaced; what was said meanwhile is not heard.
        """
        while True:
            async with self._listener.pubsub() as pubsub:
                try:
                    await pubsub.subscribe(channel)
                    while True:
                        message = await pubsub.get_message(timeout=LISTEN_SECONDS)
                        _insist_on_cancellation()
                        if message is None:
                            continue
                        if message["type"] == "message":
                            yield message["data"]
                        else:
                            self.on_listening()
                except (RedisError, OSError) as error:
                    log.info("redis.listener_lost: %s", error or type(error).__name__)
            _insist_on_cancellation()
            await asyncio.sleep(BREAK_SECONDS)

    async def close(self) -> None:
        """Close every connection."""
        await self._redis.aclose()
        await self._listener.aclose()


def _insist_on_cancellation() -> None:
    # When a connection is lost the client of Redis makes a new one, and sends through
    # `asyncio.wait_for`, which before Python 3.12 can lose a cancellation.
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _refusal() -> LogUnavailable:
    return LogUnavailable("The shared log refuses.", retry_after_ms=1000)
