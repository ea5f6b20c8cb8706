"""How long other replicas count as readers."""

from llm_stream.engine.redislog.audience import FOLLOW_SECONDS, Audience

from ..conftest import Clock, MakeRun


async def test_who_does_not_renew_reads_no_more(make_run: MakeRun, clock: Clock) -> None:
    """A follower that says nothing for long enough is let go."""
    run = make_run()
    audience = Audience({run.id: run}.get, clock)
    audience.follows("r_1", [run.id])
    assert run.readers == 1

    clock.now += FOLLOW_SECONDS + 1
    audience.expire()

    assert run.readers == 0
    assert [*audience.of(run.id)] == []


async def test_a_run_that_comes_back_is_read_by_who_says_so(
    make_run: MakeRun, clock: Clock
) -> None:
    """Who followed a run that was handed over counts anew at the one that has its id then."""
    runs = {"run_1": make_run()}
    audience = Audience(runs.get, clock)
    audience.follows("r_1", ["run_1"])
    audience.forget("run_1")
    runs["run_1"] = make_run()
    audience.follows("r_1", ["run_1"])
    assert runs["run_1"].readers == 1

    audience.leaves("r_1", "run_1")
    assert runs["run_1"].readers == 0


async def test_nobody_is_let_go_for_an_outage(make_run: MakeRun, clock: Clock) -> None:
    """While nobody can be heard all stay; afterwards each has the whole time to renew."""
    run, away = make_run(), [False]
    audience = Audience({run.id: run}.get, clock, lambda: away[0])
    audience.follows("r_1", [run.id])
    away[0] = True
    clock.now += FOLLOW_SECONDS * 3
    audience.expire()
    assert run.readers == 1

    away[0] = False
    clock.now += 1
    audience.expire()
    clock.now += FOLLOW_SECONDS - 1
    audience.expire()
    assert run.readers == 1
    clock.now += 2
    audience.expire()
    assert run.readers == 0
