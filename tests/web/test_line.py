"""The line: commands side by side, each in its turn."""

import asyncio
from collections.abc import Callable, Coroutine

from llm_stream.web.line import AT_ONCE, Crossing, Line, Turn

from ..wire import turns


class Commands:
    """Commands that look something up for as long as a test wants, and then wait for their turn."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.answered: list[int] = []
        self.waited: list[bool] = []
        self.lookups: dict[int, asyncio.Event] = {}

    def command(self, number: int) -> Callable[[Turn], Coroutine[None, None, None]]:
        """One of them."""
        self.lookups[number] = asyncio.Event()

        async def obey(turn: Turn) -> None:
            self.begun.append(number)
            await self.lookups[number].wait()
            self.waited.append(await turn.come())
            self.answered.append(number)

        return obey


async def test_commands_begin_at_once_and_are_answered_in_order() -> None:
    """One that is ready before an earlier one waits for it, and is told so."""
    line, commands = Line(Crossing()), Commands()
    for number in range(3):
        await line.enter(commands.command(number))
    await turns()
    assert commands.begun == [0, 1, 2]

    for number in (2, 0, 1):
        commands.lookups[number].set()
        await turns()
    await line.empty()

    assert commands.answered == [0, 1, 2]
    assert commands.waited == [False, False, True]
    assert line.waiting == []


async def test_lines_are_bounded_together() -> None:
    """With many commands under way each line has one at a time, but always that one."""
    crossing, commands = Crossing(), Commands()
    line, other = Line(crossing), Line(crossing)
    for number in range(AT_ONCE):
        await line.enter(commands.command(number))
    await other.enter(commands.command(AT_ONCE))
    entering = asyncio.create_task(other.enter(commands.command(AT_ONCE + 1)))
    await turns()
    assert not entering.done()

    for event in commands.lookups.values():
        event.set()
    await line.empty()
    await entering
    await other.empty()

    assert sorted(commands.answered) == list(range(AT_ONCE + 2))
    assert crossing.busy == 0


async def test_cancelling_one_leaves_those_before_it() -> None:
    """A command that waits for its turn can be given up alone."""
    line, commands = Line(Crossing()), Commands()
    for number in range(2):
        await line.enter(commands.command(number))
    commands.lookups[1].set()
    await turns()
    line.waiting[1].cancel()
    await turns()

    commands.lookups[0].set()
    await line.empty()

    assert commands.answered == [0]
