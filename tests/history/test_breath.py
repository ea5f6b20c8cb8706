"""The writer's pauses: when they are taken, and when not."""

from sqlite3 import connect

from llm_stream.history.breath import PAUSE_SECONDS, WORK_SECONDS, Breath, BreathingConnection


class Time:
    """A clock, and what has slept by it; work takes time, waiting does not work."""

    def __init__(self) -> None:
        self.now = self.worked = 100.0
        self.pauses = 0
        self.breath = Breath(work=lambda: self.worked, clock=lambda: self.now, sleep=self.sleep)

    def work(self, times: float) -> None:
        """So many times what may be worked without a pause."""
        self.worked += times * WORK_SECONDS
        self.now += times * WORK_SECONDS

    def sleep(self, seconds: float) -> None:
        """Pause."""
        assert seconds == PAUSE_SECONDS
        self.pauses += 1
        self.now += seconds


def test_there_is_a_pause_after_enough_work() -> None:
    """Not before, and the next one after as much again; what it waited for does not count."""
    time = Time()
    time.breath.begin()
    for worked, pauses in ((0.5, 0), (0.6, 1), (0.9, 1), (0.2, 2)):
        time.work(worked)
        time.now += 5
        time.breath.take()

        assert time.pauses == pauses


def test_there_is_none_in_a_hurry() -> None:
    """Whoever waits, waits for work only; it may be said in the middle of a batch."""
    time = Time()
    time.breath.begin()
    time.breath.hurried = True
    time.work(2)
    time.breath.take()
    assert time.pauses == 0

    time.breath.hurried = False
    time.breath.take()
    assert time.pauses == 1


def test_there_are_none_when_the_time_for_them_is_over() -> None:
    """Others wait for what is held; without a beginning there are none at all."""
    time = Time()
    time.work(2)
    time.breath.take()
    assert time.pauses == 0

    time.breath.begin(2.5 * PAUSE_SECONDS)
    for _ in range(10):
        time.work(1)
        time.breath.take()
    assert time.pauses == 2


def test_a_connection_breathes_between_statements() -> None:
    """Whoever executes them."""
    time = Time()
    connection = connect(":memory:", factory=BreathingConnection)
    connection.breath = time.breath
    try:
        time.breath.begin()
        time.work(2)
        assert connection.execute("SELECT 1 WHERE ?", [True]).fetchall() == [(1,)]
        assert time.pauses == 1
    finally:
        connection.close()
