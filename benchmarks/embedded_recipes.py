"""Whether the embedded model gives results of the right shape, ten times out of ten.

    python benchmarks/embedded_recipes.py [--times 10]

Runs the examples of docs/recipes.md without their seeds. A result that fails its schema is an
error of the service, so a 200 is a result of its shape; anything else is printed.
"""

import argparse
import asyncio
import re
import time
from pathlib import Path

import aiohttp
import orjson

from llm_stream import logs
from llm_stream.config import HistorySection, LocalSection, ModelsSection, Settings
from llm_stream.resources import resource
from llm_stream.testing.service import running_service

_EXAMPLE = re.compile(r"8080/v1/(\w+) .*?-d '\n(\{.*?\n\})'", re.DOTALL)


async def main() -> None:
    """Run, count, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--times", type=int, default=10)
    times = parser.parse_args().times
    logs.configure("error", "console")
    text = await asyncio.to_thread(Path.read_text, resource("docs") / "recipes.md")
    settings = Settings(
        models=ModelsSection(plugins=()),
        local=LocalSection(),
        history=HistorySection(enabled=False),
    )
    async with running_service(settings) as service, aiohttp.ClientSession() as http:
        for recipe, body in _EXAMPLE.findall(text):
            asked = orjson.loads(body)
            del asked["options"]["seed"]
            asked["cache"] = {"mode": "bypass"}
            good, began = 0, time.monotonic()
            for _ in range(times):
                async with http.post(f"{service.url}/v1/{recipe}", json=asked) as response:
                    answer = await response.json()
                good += response.status == 200
                if response.status != 200:
                    print(recipe, answer["code"], answer["detail"])
            seconds = (time.monotonic() - began) / times
            print(f"{recipe:10} {good} of {times}, {seconds:.1f} s each")


if __name__ == "__main__":
    asyncio.run(main())
