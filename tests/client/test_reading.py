"""What a reader makes of odd streams, on a wire that says what a test says."""

import hashlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from llm_stream.client import AnswerRestarted, EventsLost, Stream, TextDiffers, Unreachable
from llm_stream.client.patience import Patience
from llm_stream.client.problems import error_of
from llm_stream.client.wire import Beat, End, Frame, Gap, GoAway, Opened
from llm_stream.errors import LogUnavailable, RunExpired, StreamError

from ..engine.conftest import Clock

Said = Frame | StreamError


class SpokenFeed:
    """Says its frames, then is cut, or raises."""

    def __init__(self, frames: list[Said]) -> None:
        self.opened = Opened("run_1", "miss", "")
        self.closed = False
        self._said = frames

    async def frames(self) -> AsyncIterator[Frame]:
        """One after the other."""
        for frame in self._said:
            if isinstance(frame, StreamError):
                raise frame
            yield frame

    async def close(self) -> None:
        """Remembered."""
        self.closed = True


class SpokenWire:
    """One list of frames a connection, or an error that refuses it; what it was asked for."""

    def __init__(self, *connections: list[Said] | StreamError) -> None:
        self.asked: list[str] = []
        self.keys: list[str] = []
        self.left: list[bool] = []
        self.feeds: list[SpokenFeed] = []
        self._connections = list(connections)

    async def start(self, recipe: str, body: Mapping[str, Any], key: str) -> SpokenFeed:
        """The next connection."""
        self.keys.append(key)
        return await self.follow(recipe, "start")

    async def follow(self, run: str, after: str) -> SpokenFeed:
        """The next connection."""
        self.asked.append(after)
        said = self._connections.pop(0)
        if isinstance(said, StreamError):
            raise said
        self.feeds.append(SpokenFeed(said))
        return self.feeds[-1]

    async def leave(self, opened: Opened, *, ended: bool) -> None:
        """Remembered, and not answered."""
        self.left.append(ended)
        raise Unreachable("gone")

    async def close(self) -> None:
        """Nothing to end."""


def read(wire: SpokenWire, seconds: float = 60, clock: Clock | None = None) -> Stream:
    """A stream on this wire that does not wait."""
    patience = Patience(seconds, clock or Clock(), jitter=lambda: 0.0)
    return Stream(wire, lambda key: wire.start("generate", {}, key), patience, owned=True)


STARTED: Frame = {
    "id": "1-1", "type": "run.started", "recipe": "generate", "model": "m", "cache": "miss",
}  # fmt: skip


def delta(place: int, text: str, epoch: int = 1) -> Frame:
    """A piece of text."""
    return {"id": f"{epoch}-{place}", "type": "text.delta", "text": text}


def completed(place: int, text: str, epoch: int = 1) -> Frame:
    """The end of an answer that was this text."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    return {
        "id": f"{epoch}-{place}", "type": "run.completed", "text_sha256": digest, "result": None,
        "usage": {}, "timings": {}, "finish_reason": "stop", "attempts": 1,
    }  # fmt: skip


async def test_it_goes_on_behind_what_was_read() -> None:
    """Each new connection is asked for what follows the last event; what came twice is dropped."""
    wire = SpokenWire(
        [STARTED, delta(2, "a")],
        [delta(2, "a"), delta(3, "b"), Unreachable("reset")],
        LogUnavailable("Redis is away."),
        [completed(4, "ab")],
    )
    stream = read(wire)
    answer = await stream.result()

    assert answer.text == "ab"
    assert wire.asked == ["start", "1-2", "1-3", "1-3"]
    assert stream.resumed == 2
    assert all(feed.closed for feed in wire.feeds)
    assert wire.left == [True]


async def test_a_hole_is_read_again() -> None:
    """An event that is missing is asked for; the connection that missed it is left."""
    wire = SpokenWire([STARTED, delta(3, "b")], [delta(2, "a"), delta(3, "b"), completed(4, "ab")])

    assert (await read(wire).result()).text == "ab"
    assert wire.asked == ["start", "1-1"]


async def test_another_epoch_goes_on() -> None:
    """A replica that took the run over counts from one; the old one's last words are not read."""
    restarted: Frame = {"id": "2-1", "type": "run.restarted", "reason": "owner_lost"}
    wire = SpokenWire(
        [STARTED, delta(2, "a")],
        [restarted, delta(3, "late"), delta(2, "b", 2), completed(3, "b", 2)],
    )

    assert (await read(wire).result()).text == "b"


async def test_who_is_sent_away_comes_back_when_told() -> None:
    """Not before: its place is being shut down."""
    clock = Clock()
    wire = SpokenWire([STARTED, GoAway(90_000), delta(2, "a")])
    stream = read(wire, 60, clock)
    with pytest.raises(Unreachable) as caught:
        await stream.result()

    assert caught.value.retry_after_ms == 90_000
    assert wire.asked == ["start"]


@pytest.mark.parametrize(
    ("frames", "error"),
    [
        ([STARTED, Gap("1-1", "1-9")], EventsLost),
        ([STARTED, delta(2, "a"), completed(3, "b")], TextDiffers),
        ([STARTED, delta(2, "a"), End()], EventsLost),
        ([STARTED, RunExpired("It is gone.")], RunExpired),
    ],
    ids=["gap", "digest", "end", "refused"],
)
async def test_what_is_not_whole_is_no_answer(frames: Any, error: type[StreamError]) -> None:
    """It is raised where it is read, and there is no answer afterwards either."""
    stream = read(SpokenWire(frames))
    async with stream:
        with pytest.raises(error):
            async for _ in stream.events():
                pass


async def test_a_gap_says_where_to_read_on() -> None:
    """What is there can be followed behind it."""
    async with read(SpokenWire([STARTED, Gap("1-1", "1-9")])) as stream:
        with pytest.raises(EventsLost) as caught:
            await stream.result()

    assert (caught.value.after, caught.value.first) == ("1-1", "1-9")


async def test_leaving_never_raises() -> None:
    """A service that cannot be told finds the run abandoned; the connection is closed."""
    wire = SpokenWire([STARTED, delta(2, "a")])
    async with read(wire) as stream:
        await anext(stream.events())

    assert wire.left == [False]
    assert wire.feeds[0].closed


async def test_it_is_read_inside_its_block() -> None:
    """A stream that was not entered, or was left, says so."""
    stream = read(SpokenWire([STARTED]))
    with pytest.raises(RuntimeError, match="async with"):
        await anext(stream.events())


async def test_only_what_was_not_answered_is_sent_again_by_its_key() -> None:
    """What was refused by a key would be refused again: the next attempt has another one."""
    refused = error_of({"code": "model_resting", "retryable": True})
    whole: list[Said] = [STARTED, delta(2, "a"), completed(3, "a")]
    wire = SpokenWire(Unreachable("reset"), refused, whole)
    await read(wire).result()

    assert wire.keys[0] == wire.keys[1] != wire.keys[2]


async def test_a_heartbeat_is_a_success() -> None:
    """A run that is silent for long is read on for as long as the service lives."""
    clock = Clock()

    class SlowWire(SpokenWire):
        async def follow(self, run: str, after: str) -> SpokenFeed:
            clock.now += 50
            return await super().follow(run, after)

    wire = SlowWire([STARTED], [Beat()], [Beat()], [Beat(), completed(2, "")])
    stream = read(wire, 60, clock)

    assert ((await stream.result()).text, stream.resumed) == ("", 3)


async def test_a_restart_is_told_whoever_has_read() -> None:
    """What one iterator has given is void for the next one."""
    restarted: Frame = {"id": "1-3", "type": "run.restarted", "reason": "failed"}
    wire = SpokenWire([STARTED, delta(2, "a"), restarted, delta(4, "b"), completed(5, "b")])
    async with read(wire) as stream:
        assert await anext(stream.text()) == "a"
        with pytest.raises(AnswerRestarted):
            await anext(stream.text())
