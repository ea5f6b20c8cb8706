"""What recipes make model calls of: the caller's material as data, and the spec of one call."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import orjson

from llm_stream.models.chunks import Message
from llm_stream.recipes.prompts import PromptTemplate
from llm_stream.recipes.quotes import Sources
from llm_stream.recipes.spec import RunSpec

STAGE_SOURCES: Final = ("stage_data", "project_state")
"""Ids of what is no document; a document with one of them would stand in its place."""


def model_call(
    spec: RunSpec,
    template: PromptTemplate,
    values: Mapping[str, str],
    *,
    schema: Mapping[str, Any] | None = None,
    sample: int = 0,
) -> RunSpec:
    """The spec of one model call of a recipe; what is not given here is as its caller asked.

    Samples differ in their seed, where there is one, and in their fingerprint always.
    """
    rendered = template.render(values)
    messages = [Message("user", rendered.prompt)]
    if rendered.system:
        messages.insert(0, Message("system", rendered.system))
    options = {**template.options, **spec.options}
    if sample and isinstance(options.get("seed"), int):
        options["seed"] += sample
    return replace(
        spec,
        recipe="generate",
        messages=tuple(messages),
        options=options,
        schema=schema,
        template=template.ref,
        input=None,
        children=(),
        sample=sample,
        abandon_seconds=0.0,
    )


def sources(asked: Mapping[str, Any]) -> Sources:
    """Everything the model is given, by id: stage data, project state, documents."""
    texts = {
        name: orjson.dumps(asked[name], option=orjson.OPT_INDENT_2).decode()
        for name in STAGE_SOURCES
        if asked.get(name)
    }
    documents = {document["id"]: document["text"] for document in asked.get("documents", ())}
    return Sources(texts | documents)


def delimited(texts: Mapping[str, str]) -> str:
    """The sources as data: each between lines that name it, which no source can forge.

    The mark is a hash of all texts, so a text that holds it would have to hold its own hash.
    """
    mark = hashlib.sha256(orjson.dumps(dict(texts))).hexdigest()[:12]
    return "\n\n".join(
        f"<<<{mark} source={name}\n{text}\n>>>{mark} end of {name}" for name, text in texts.items()
    )


def marked(name: str, text: str) -> str:
    """One text as data, be it as short as a title: it may hold line ends, and say anything."""
    return delimited({name: text})
