"""A model that waits for the test: what arrives can be seen before the next word is made."""

import asyncio

from llm_stream.testing import Script, ScriptedModel, words


class StepModel(ScriptedModel):
    """Says one of `count` words each time the test asks for it."""

    def __init__(self, count: int) -> None:
        super().__init__("steps", Script(chunks=words(count)))
        self.step = asyncio.Semaphore(0)

    async def pause(self, seconds: float) -> None:
        await self.step.acquire()
