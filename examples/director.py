"""A small Director: three stages of a project, each worked on until it is sufficient.

    pip install rich
    python examples/director.py [--url http://127.0.0.1:8080] [--model balanced]

Each stage is written (generate) and judged (evaluate); what is missing goes into the next draft.
The last stage's text is broken down into tasks, which are worked on as soon as those they depend on
are done, all at the same time, over one WebSocket. What the models say is shown while they say it.
"""

import argparse
import asyncio
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from llm_stream.client import AsyncClient, Criterion, StreamError, Task

PROJECT = "A small web shop for hand-made tea cups: catalogue, basket, checkout."
ROUNDS = 3
"""Drafts of a stage before the Director goes on with what it has."""

SHOWN_CHARS = 70


@dataclass
class Stage:
    """A step of the workflow, and by what it is judged."""

    name: str
    order: str
    criteria: list[str]
    text: str = ""


STAGES = [
    Stage(
        "Requirements gathering",
        "List the requirements.",
        ["The requirements name what a customer can do."],
    ),
    Stage(
        "Domain modeling",
        "Name the entities and how they belong together.",
        ["There is an entity for what is sold.", "There is an entity for an order."],
    ),
    Stage(
        "Design",
        "Describe the parts of the system and what each does.",
        ["Each part has one purpose."],
    ),
]


@dataclass
class Board:
    """What is shown: a row for each piece of work, its state and the last words of it."""

    rows: dict[str, tuple[str, str]] = field(default_factory=dict)

    def show(self, name: str, state: str, words: str = "") -> None:
        """Change a row."""
        self.rows[name] = (state, " ".join(words.split())[-SHOWN_CHARS:])

    def __rich__(self) -> Table:
        """The board as it is now."""
        table = Table("work", "state", "last words", expand=True)
        for name, (state, words) in self.rows.items():
            table.add_row(Text(name), state, Text(words))
        return table


class Director:
    """Drives the workflow.

    Args:
        client: of the service.
        board: where it is shown.
        options: what every request says, `model` say.
    """

    def __init__(self, client: AsyncClient, board: Board, options: dict[str, Any]) -> None:
        self._client = client
        self._board = board
        self._options = options

    async def direct(self) -> None:
        """Work through all stages, then through the tasks of the last one."""
        for stage in STAGES:
            await self._reach(stage)
        await self._work(STAGES[-1].text)

    async def _reach(self, stage: Stage) -> None:
        """Write drafts of a stage until one is sufficient."""
        missing: list[str] = []
        for number in range(1, ROUNDS + 1):
            stage.text = await self._write(
                f"{stage.name}, draft {number}",
                "\n".join(
                    [f"Project: {PROJECT}", *self._done(), stage.order, *missing],
                ),
            )
            missing = await self._judge(stage, number)
            if not missing:
                return

    async def _judge(self, stage: Stage, number: int) -> list[str]:
        """What the draft lacks; nothing if it is sufficient."""
        row, found = f"{stage.name}, judged {number}", list[str]()
        self._board.show(row, "judging")
        asked = self._client.evaluate(
            stage.name,
            stage_data={"project": PROJECT, "draft": stage.text},
            criteria=stage.criteria,
            **self._options,
        )
        async with asked as stream:
            async for item in stream.items(restarted=found.clear):
                if isinstance(item, Criterion):
                    self._board.show(row, item.rating, item.reason)
                    if item.rating != "met":
                        found.append(f"Do better at: {item.title}")
            verdict = (await stream.result()).result
        self._board.show(row, verdict["verdict"], verdict["reasoning"])
        return [] if verdict["is_sufficient"] else found or ["Be more thorough."]

    async def _work(self, design: str) -> None:
        """Break the design down, and work on every task as soon as it can be."""
        done: dict[str, asyncio.Task[str]] = {}

        def forget() -> None:
            for work in done.values():
                work.cancel()
            done.clear()

        self._board.show("Tasks", "planning")
        asked = self._client.breakdown(
            "Build what the design describes.", context=design, max_tasks=6, **self._options
        )
        async with asyncio.TaskGroup() as group, asked as stream:
            async for item in stream.items(restarted=forget):
                if isinstance(item, Task):
                    self._board.show("Tasks", "planning", item.title)
                    done[item.id] = group.create_task(self._do(item, dict(done)))
            self._board.show("Tasks", "planned", f"{len(done)} tasks")

    async def _do(self, task: Task, others: dict[str, asyncio.Task[str]]) -> str:
        """Work on a task when those it depends on are done; tasks come after those."""
        before = [await others[name] for name in task.depends_on if name in others]
        lines = [f"Project: {PROJECT}", *before, f"{task.title}: {task.description}"]
        return await self._write(task.title, "\n".join(lines))

    async def _write(self, row: str, prompt: str) -> str:
        """Have something written, and show it."""
        said: list[str] = []
        self._board.show(row, "waiting")
        async with self._client.generate(prompt, **self._options) as stream:
            async for piece in stream.text(restarted=said.clear):
                said.append(piece)
                self._board.show(row, "writing", "".join(said[-20:]))
            answer = await stream.result()
        self._board.show(row, f"written ({answer.cache})", answer.text)
        return answer.text

    def _done(self) -> list[str]:
        return [f"{stage.name}:\n{stage.text}" for stage in STAGES if stage.text]


async def main() -> None:
    """Direct, and show the board."""
    parser = argparse.ArgumentParser(description="A small Director.")
    parser.add_argument("--url", help="of the service; default http://127.0.0.1:8080")
    parser.add_argument("--model", help="id or alias; default the service's")
    arguments = parser.parse_args()
    console, board = Console(), Board()
    options = {"model": arguments.model} if arguments.model else {}
    try:
        with Live(board, console=console, refresh_per_second=8):
            async with AsyncClient(arguments.url, wire="websocket") as client:
                await Director(client, board, options).direct()
    except* StreamError as group:
        for error in group.exceptions:
            console.print(Text(str(error), style="red"))
        raise SystemExit(1) from None


if __name__ == "__main__":
    asyncio.run(main())
