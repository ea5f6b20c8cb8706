"""The services that the documents' examples are run against, and what of an output is compared.

The pages about the API have a model that follows a script about a small web shop, so that every
word of their outputs is known before, and so has the one about the command line. The others have
the embedded model.
"""

import json
import re
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Final

from llm_stream.config import (
    CacheSection,
    HistorySection,
    LimitsSection,
    LocalSection,
    ModelsSection,
    Settings,
)
from llm_stream.config.storage import PriceSection
from llm_stream.testing import Script, ScriptedModel
from llm_stream.testing.scripted import Call
from llm_stream.testing.service import RunningService, running_service

from .cliexamples import answer as answer_command
from .conftest import settings as scripted_settings
from .documents import Example, Form, exactly, in_any_order, outline, shape
from .wire import until

FORMS: Final[dict[str, Form]] = {
    "quickstart": shape, "recipes": outline, "client": outline, "javascript": outline,
    "openai": outline,
}  # fmt: skip
"""What is compared where the model's words are not known before, by document."""

ANSWERS = {
    "Name three pages": "Start page, product page and basket.",
    "What should the start page show?": "The three lamps that sell best, and a way to the basket.",
    "How many lamps": "There are seven left.",
    "Count": "".join(f"{number} " for number in range(1, 201)),
}
SLOW_SECONDS: Final = 0.02
PRICE: Final = PriceSection(input_per_million=1000, output_per_million=4000)


def form_of(document: str, example: Example) -> Form:
    """What of this example's output has to be as it is written."""
    if document == "cli":
        return in_any_order  # criteria are judged at once
    return FORMS.get(document) or exactly(example)


@asynccontextmanager
async def serving(document: str, folder: Path) -> AsyncIterator[str]:
    """The address of a service for this document, whose files are in `folder`."""
    if document in FORMS:
        service = embedded_service()
    elif document == "cli":
        service = command_service()
    else:
        service = shop_service(folder)
    async with service as running:
        yield running.url


def embedded_service() -> AbstractAsyncContextManager[RunningService]:
    """A service with the embedded model."""
    return running_service(
        Settings(
            limits=LimitsSection(late_seconds=0),
            models=ModelsSection(plugins=()),
            # Threads that compute wait for one another, and slowly where others take the cores.
            local=LocalSection(threads=1),
        )
    )


def command_service() -> AbstractAsyncContextManager[RunningService]:
    """A service whose model says what docs/cli.md shows."""
    model = ScriptedModel("scripted")
    model.respond = answer_command
    return running_service(scripted_settings(), [model])


@asynccontextmanager
async def shop_service(folder: Path) -> AsyncIterator[RunningService]:
    """A service without plugins, keys and embedded model, whose history is in `folder`."""
    model = ScriptedModel("demo")
    model.respond = answer
    settings = Settings(
        models=ModelsSection(default="demo", plugins=(), aliases={"fast": "demo"}),
        limits=LimitsSection(late_seconds=0),
        providers={},
        local=LocalSection(enabled=False),
        history=HistorySection(path=str(folder / "logs.db")),
        cache=CacheSection(prices={"demo": PRICE}),
    )
    async with running_service(settings, [model]) as service:
        history = service.parts.history
        # What the examples show of its state is that of a service which has started.
        await until(lambda: history is None or history.facts().state == "open")
        yield service


def answer(call: Call) -> Script:
    """What the model says to this prompt: JSON where a schema asks for it."""
    if call.tools and call.prompt:  # there is none behind the result of a call
        asked = ("call_1", "stock", '{"product":"lamp"}')
        return Script(chunks=(), tool_calls=(asked,), finish_reason="tool_calls")
    if call.schema is None:
        return _said(_text(call), call)
    return _said(json.dumps(_value(call.schema["properties"], call.prompt)), call)


def _said(text: str, call: Call) -> Script:
    pieces = tuple(re.findall(r"\S+\s*", text))
    delay = SLOW_SECONDS if text == ANSWERS["Count"] else 0
    return Script(chunks=pieces, delay_seconds=delay, usage=(len(call.prompt.split()), len(pieces)))


def _text(call: Call) -> str:
    asked = call.prompt or str(call.messages)
    return next((said for begin, said in ANSWERS.items() if begin in asked), "Hello, shop.")


def _value(properties: dict[str, Any], prompt: str) -> dict[str, Any]:
    if "rating" in properties:
        return _judgement(prompt)
    if "tasks" in properties:
        tasks = [_task("list", "List the products"), _task("basket", "Build the basket", "list")]
        return {"tasks": tasks, "open_questions": []}
    if "criteria" in properties:
        return {"criteria": [{"title": "The pages are listed", "required": True}]}
    if "steps" in properties:
        return {"steps": [{"id": "cost", "title": "Find out what it costs", "depends_on": []}]}
    return {"name": "Lamp shop", "pages": 3}


def _judgement(prompt: str) -> dict[str, Any]:
    if "payment" in prompt.partition("source=criterion")[2]:
        lacking = {"what": "Payment", "why": "Nobody can buy", "severity": "high",
                   "next_action": "Agree on card or invoice"}  # fmt: skip
        return {"reason": "Payment is not mentioned.", "evidence": [], "rating": "unmet",
                "missing": [lacking]}  # fmt: skip
    quote = "Pages: start, basket."
    evidence = [{"source": "notes", "quote": quote}] if quote in prompt else []
    return {"reason": "Pages are named.", "evidence": evidence, "rating": "met", "missing": []}


def _task(name: str, title: str, *before: str) -> dict[str, Any]:
    return {
        "id": name, "title": title, "description": "As agreed.", "type": "task",
        "depends_on": list(before), "acceptance_criteria": ["It works"], "deliverables": [],
        "effort": {"low": 1, "likely": 2, "high": 4, "unit": "hours"}, "complexity": "low",
        "priority": "high", "risk": "", "expand": {"recommended": False, "hint": ""}, "covers": [],
    }  # fmt: skip
