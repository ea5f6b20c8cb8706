"""The writer's pauses: when they are taken, and when not."""

from sqlite3 import connect

from llm_stream.history.breath import PAUSE_SECONDS, WORK_SECONDS, Breath, BreathingConnection


class Time:
    """A clock, and what has slept by it."""

    def __init__(self) -> None:
        self.now = 100.0
        self.pauses = 0

    def clock(self) -> float:
        """Seconds."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Pause."""
        assert seconds == PAUSE_SECONDS
        self.pauses += 1
        self.now += seconds


def test_there_is_a_pause_after_enough_work() -> None:
    """Not before, and the next one after as much again."""
    time = Time()
    breath = Breath(clock=time.clock, sleep=time.sleep)
    for worked, pauses in ((0.5, 0), (0.6, 1), (0.9, 1), (0.2, 2)):
        time.now += worked * WORK_SECONDS
        breath.take()

        assert time.pauses == pauses


def test_there_is_none_in_a_hurry() -> None:
    """Whoever waits, waits for work only; it may be said in the middle of a batch."""
    time = Time()
    breath = Breath(hurried=True, clock=time.clock, sleep=time.sleep)
    time.now += 1
    breath.take()
    assert time.pauses == 0

    breath.hurried = False
    breath.take()
    assert time.pauses == 1


def test_a_connection_breathes_between_statements() -> None:
    """Whoever executes them."""
    time = Time()
    breath = Breath(clock=time.clock, sleep=time.sleep)
    connection = connect(":memory:", factory=BreathingConnection)
    connection.breath = breath
    try:
        time.now += 1
        assert connection.execute("SELECT 1 WHERE ?", [True]).fetchall() == [(1,)]
        assert time.pauses == 1
    finally:
        connection.close()
