"""Messages between replicas, on Redis Pub/Sub: heard at once or never, so nothing relies on one."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson
from ulid import ULID

from llm_stream.engine.redislog.link import Command, RedisLink
from llm_stream.engine.redislog.records import Keys
from llm_stream.errors import LogUnavailable

ANSWER_SECONDS: Final = 1.0
"""How long a replica that is asked has to answer."""

SILENT_SECONDS: Final = 1.0
"""How long a replica that did not answer is not asked again, unless it says something."""

Message = dict[str, Any]
Handler = Callable[[Message], Message | None]
"""Obeys a message, and answers it if it was a question."""

log = logging.getLogger(__name__)


class Post:
    """This replica's inbox, and what it sends to others.

    Who has not answered is taken to be silent for the next second, and not asked.

    A message is `{do, from, ask?, ...}`; `handlers` says what each `do` means, and is set before
    `listen` begins. Handlers must not block.
    """

    def __init__(
        self,
        link: RedisLink,
        keys: Keys,
        replica: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.handlers: Mapping[str, Handler] = {}
        self._link = link
        self._keys = keys
        self._replica = replica
        self._clock = clock
        self._silent_until: dict[str, float] = {}
        self._asked: dict[str, asyncio.Future[Message]] = {}
        self._outgoing: asyncio.Queue[Command] = asyncio.Queue()

    def tell(self, replica: str, do: str, **facts: Any) -> None:
        """Send a message some time soon; it may get lost."""
        body = orjson.dumps({"do": do, "from": self._replica, **facts})
        self.send(("PUBLISH", self._keys.inbox(replica), body))

    def send(self, command: Command) -> None:
        """Have Redis do something some time soon, or not at all."""
        self._outgoing.put_nowait(command)

    async def ask(self, replica: str, do: str, **facts: Any) -> Message | None:
        """The answer of another replica, None if it gives none within a second, or lately did."""
        if self._silent_until.get(replica, 0.0) > self._clock():
            return None
        number = str(ULID())
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        try:
            self.tell(replica, do, ask=number, **facts)
            async with asyncio.timeout(ANSWER_SECONDS):
                return dict(await answer)
        except TimeoutError:
            self._silent_until = {
                name: until for name, until in self._silent_until.items() if until > self._clock()
            }
            self._silent_until[replica] = self._clock() + SILENT_SECONDS
            return None
        finally:
            del self._asked[number]

    async def deliver(self) -> None:
        """Send what is told, until cancelled."""
        while True:
            letters = [await self._outgoing.get()]
            while not self._outgoing.empty():
                letters.append(self._outgoing.get_nowait())
            try:
                await self._link.send(letters)
            except LogUnavailable:
                log.info("redis.letters_lost: %d", len(letters))

    async def listen(self) -> None:
        """Obey what arrives, until cancelled."""
        async for body in self._link.messages(self._keys.inbox(self._replica)):
            try:
                message = orjson.loads(body)
                self._obey(message)
            except (ValueError, KeyError, TypeError):
                log.warning("redis.letter_unreadable: %.200r", body)

    def _obey(self, message: Message) -> None:
        if "ring" in message:
            self.handlers["ring"](message)
            return
        self._silent_until.pop(message["from"], None)
        if message["do"] == "answer":
            waiting = self._asked.get(message["ask"])
            if waiting is not None and not waiting.done():
                waiting.set_result(message)
            return
        answer = self.handlers[message["do"]](message)
        if "ask" in message:
            self.tell(message["from"], "answer", ask=message["ask"], **(answer or {}))
