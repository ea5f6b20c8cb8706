"""What other replicas ask of this one, about its runs."""

from llm_stream.engine.directory import handed_over, released
from llm_stream.engine.flights import outdated
from llm_stream.engine.redislog.audience import Audience
from llm_stream.engine.redislog.claimants import Claimants
from llm_stream.engine.redislog.post import Message, Post
from llm_stream.engine.redislog.tail import LogTail
from llm_stream.engine.registry import RunRegistry
from llm_stream.engine.runinfo import Client


class Desk:
    """Obeys messages.

    Args:
        registry: runs of this process.
        audience: who follows them.
        claimants: who has claims on them.
        tail: what this process follows itself.
    """

    def __init__(
        self, registry: RunRegistry, audience: Audience, claimants: Claimants, tail: LogTail
    ) -> None:
        self._registry = registry
        self._audience = audience
        self._claimants = claimants
        self._tail = tail

    def answer(self, post: Post) -> None:
        """Take what comes by this post from now on."""
        post.handlers = {
            "ring": self._ring,
            "follow": self._follow,
            "leave": self._leave,
            "release": self._release,
            "join": self._join,
            "forget": self._forget,
        }

    def _ring(self, message: Message) -> None:
        self._tail.ring(message["ring"])

    def _follow(self, message: Message) -> Message | None:
        run = self._audience.follows(message["from"], message["runs"])
        return {"last": run.log.cursor} if run else None

    def _leave(self, message: Message) -> None:
        self._audience.leaves(message["from"], message["run"])

    def _release(self, message: Message) -> Message | None:
        run = self._registry.get(message["run"])
        if run is None or handed_over(run):
            return None
        return dict(released(run, message["claim"]))

    def _join(self, message: Message) -> Message | None:
        client = Client(message["claim"], message["abandon_seconds"], message.get("inner", False))
        key = message.get("key")
        run = self._registry.joinable(key, client) if key else self._registry.get(message["run"])
        if run is None or run.ending:
            return None
        marks = message.get("marks", {})
        if outdated(run, marks):
            return {"outdated": True}
        run.marks = None if run.marks is None else {**marks, **run.marks}
        run.join(client)
        self._claimants.claimed(message["from"], run.id, client.claim)
        self._audience.follows(message["from"], [run.id])
        return {"run": run.id}

    def _forget(self, message: Message) -> None:
        key = message.get("key")
        run = self._registry.joinable(key, Client()) if key else self._registry.get(message["run"])
        if run is not None:
            run.interest.forget(message["claim"])
