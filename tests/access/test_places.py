"""Places that replicas count together: taken, renewed, given back, and lost with their holder."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from contextlib import AsyncExitStack
from typing import Any

import pytest
import redis

from llm_stream.access.places import HeldPlaces, RedisPlaces
from llm_stream.engine.redislog.link import RedisLink
from llm_stream.errors import LogUnavailable

from ..redisserver import RedisServer
from ..wire import until

KEY = "t:places:a"
LONG_GONE, FAR_AHEAD = 1.0, 9e12

StartHolder = Callable[..., HeldPlaces]


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator[Any]:
    """What Redis has."""
    with redis.Redis(port=redis_server.port) as client:
        yield client


@pytest.fixture
async def places(redis_server: RedisServer) -> AsyncIterator[RedisPlaces]:
    """Places in Redis."""
    link = RedisLink(redis_server.url)
    yield RedisPlaces(link, "t")
    await link.close()


@pytest.fixture
async def start_holder(places: RedisPlaces) -> AsyncIterator[StartHolder]:
    """Start replicas that hold places."""
    async with AsyncExitStack() as stack:

        def start(**settings: Any) -> HeldPlaces:
            holder = HeldPlaces(places, **settings)
            holder.start()
            stack.push_async_callback(holder.close)
            return holder

        yield start


class Places:
    """Places that answer as they are told: given or not, or nothing at all (None)."""

    lease_seconds = 0.0

    def __init__(self, *answers: bool | None) -> None:
        self.answers = [*answers]
        self.asked: list[tuple[str, set[str]]] = []
        self.told: list[set[str]] = []

    async def take(
        self, _name: str, _most: int, places: Collection[str], freed: Collection[str] = ()
    ) -> bool:
        """Say what comes next; without more to say never answer."""
        self.asked.append(("".join(places), {*freed}))
        if not self.answers:
            await asyncio.Event().wait()
        answer = self.answers.pop(0)
        if answer is None:
            raise LogUnavailable("away")
        return answer

    async def tell(
        self, _held: Mapping[str, Collection[str]], freed: Mapping[str, Collection[str]]
    ) -> None:
        """Hear nothing."""
        self.told.append({*freed.get("a", ())})
        raise LogUnavailable("away")


async def test_there_are_so_many_places(places: RedisPlaces) -> None:
    """All that are asked for or none; those of another name are others."""
    taken = [
        await places.take("a", 2, ["1"]),
        await places.take("a", 2, ["2", "3"]),
        await places.take("a", 2, ["2"]),
        await places.take("a", 2, ["3"]),
        await places.take("b", 2, ["3", "4"]),
    ]

    assert taken == [True, False, True, False, True]


async def test_what_is_given_back_is_free(places: RedisPlaces) -> None:
    """Whether it is told of by itself or with the next question."""
    assert await places.take("a", 1, ["1"])
    await places.tell({}, {"a": ["1"]})
    assert await places.take("a", 1, ["2"])
    assert await places.take("a", 1, ["3"], ["2"])

    assert not await places.take("a", 1, ["4"])


@pytest.mark.parametrize("until", [LONG_GONE, FAR_AHEAD])
async def test_what_nobody_renews_comes_free(
    places: RedisPlaces, client: Any, until: float
) -> None:
    """When its time is over, and at once where that was told by a clock that was set back."""
    client.zadd(KEY, {"dead": until})

    assert await places.take("a", 1, ["1"])
    assert client.zrange(KEY, 0, -1) == [b"1"]


async def test_a_name_without_places_leaves_nothing(places: RedisPlaces, client: Any) -> None:
    """Its key ends with the last place in it."""
    await places.take("a", 1, ["1"])

    assert 14_000 < client.pttl(KEY) <= 15_000


async def test_a_renewed_place_is_kept(places: RedisPlaces, client: Any) -> None:
    """Also one that Redis has forgotten, and however many there are."""
    client.zadd(KEY, {"1": LONG_GONE})
    await places.tell({"a": ["1", "2", "3"]}, {})

    assert client.zcard(KEY) == 3
    assert not await places.take("a", 3, ["4"])


async def test_a_key_that_is_something_else_harms_no_other(
    places: RedisPlaces, client: Any
) -> None:
    """What else is to be told is heard."""
    client.set("t:places:b", "text")
    await places.tell({"b": ["1"], "a": ["1"]}, {})

    assert client.zcard(KEY) == 1


async def test_replicas_have_the_same_places(start_holder: StartHolder) -> None:
    """One that is given back at one replica is free at the other, soon."""
    first, second = start_holder(), start_holder()
    free = await first.take("a", 1)
    assert free is not None
    assert await second.take("a", 1) is None
    free()

    while await second.take("a", 1) is None:
        pass


async def test_a_place_is_given_back_at_once(start_holder: StartHolder, client: Any) -> None:
    """Long before it would have been renewed."""
    free = await start_holder(renew_seconds=1000).take("a", 1)
    assert free is not None
    assert client.zcard(KEY) == 1
    free()

    await until(lambda: not client.exists(KEY))


async def test_who_gives_back_can_take_at_once(places: RedisPlaces) -> None:
    """Though nobody has told Redis yet."""
    holder = HeldPlaces(places)
    for _ in range(3):
        free = await holder.take("a", 1)
        assert free is not None
        free()


async def test_places_are_known_again_after_redis_has_forgotten(
    start_holder: StartHolder, client: Any
) -> None:
    """At the next renewal."""
    await start_holder(renew_seconds=0.01).take("a", 1)
    client.flushall()

    await until(lambda: client.zcard(KEY))


async def test_a_holder_that_ends_leaves_nothing(start_holder: StartHolder, client: Any) -> None:
    """What it holds is free when it is closed."""
    holder = start_holder()
    await holder.take("a", 2)
    await holder.take("a", 2)
    await holder.close()

    assert not client.exists(KEY)


async def test_without_redis_nobody_is_refused_here(
    start_holder: StartHolder, client: Any, redis_server: RedisServer
) -> None:
    """And all that is held is known when it is back."""
    holder = start_holder(renew_seconds=0.01)
    redis_server.kill()
    assert await holder.take("a", 1) is not None
    assert await holder.take("a", 1) is not None
    redis_server.start()

    await until(lambda: client.zcard(KEY) == 2)


async def test_a_place_that_is_on_its_way_back_is_waited_for() -> None:
    """For some milliseconds; a client sees a run's end before Redis does."""
    places = Places(False, True, False, False, False)
    holder = HeldPlaces(places)

    assert await holder.take("a", 1) is not None
    assert await holder.take("a", 1) is None
    assert len(places.asked) == 5


async def test_who_stops_asking_gives_back() -> None:
    """Redis may have given the place all the same."""
    places = Places()
    holder = HeldPlaces(places)
    asking = asyncio.create_task(holder.take("a", 1))
    await until(lambda: places.asked)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    places.answers = [True]
    await holder.take("a", 1)

    assert asking.cancelled()
    assert places.asked[1][1] == {places.asked[0][0]}


async def test_what_nobody_hears_is_forgotten_when_it_is_free_by_itself() -> None:
    """Or an outage of hours would be remembered run by run."""
    places = Places(None, None)
    holder = HeldPlaces(places)
    holder.start()
    free = await holder.take("a", 1)
    assert free is not None
    free()
    await until(lambda: places.told)
    await holder.take("a", 1)
    await holder.close()

    assert places.told[0] == {places.asked[0][0]}
    assert places.asked[1][1] == set()
