"""A model that waits for the test before each word."""

import asyncio

from llm_stream.testing import Script, ScriptedModel


class GatedModel(ScriptedModel):
    """Says words while the gate is open."""

    def __init__(self, *chunks: str) -> None:
        super().__init__("gated", Script(chunks=chunks))
        self.gate = asyncio.Event()

    async def pause(self, seconds: float) -> None:
        await self.gate.wait()
        await asyncio.sleep(0)
