"""Parameters under the names that a model has for them."""

from collections.abc import AsyncIterator
from typing import Any, ClassVar, Literal

import llm
import openai
import pytest

from llm_stream.testing import ScriptedModel

from ...conftest import StartService
from .conftest import HELLO, client_of

PNG = "data:image/png;base64,iVBORw0KGgo="


class Options(llm.Options):
    """Names that differ between providers, all at once."""

    max_output_tokens: int | None = None
    stop_sequences: list[str] | None = None
    thinking_effort: Literal["low", "high"] | None = None
    verbosity: str | None = None
    reasoning_summary: str | None = None
    json_object: bool | None = None
    image_detail: str | None = None
    logit_bias: dict[str, int] | None = None


class Foreign(ScriptedModel):
    """A model with these options."""

    Options: ClassVar[type[Options]] = Options  # type: ignore[assignment]


@pytest.fixture
def foreign() -> Foreign:
    """The model that is asked."""
    return Foreign("foreign")


@pytest.fixture
async def gpt(start_service: StartService, foreign: Foreign) -> AsyncIterator[Any]:
    """A client of a service that has it."""
    async with client_of(await start_service(foreign)) as client:
        yield client


def image(detail: str) -> dict[str, Any]:
    """An image to be looked at that closely."""
    return {"type": "image_url", "image_url": {"url": PNG, "detail": detail}}


@pytest.mark.parametrize(
    ("asked", "options"),
    [
        ({"max_tokens": 5}, {"max_output_tokens": 5}),
        ({"max_completion_tokens": 5}, {"max_output_tokens": 5}),
        ({"stop": "END"}, {"stop_sequences": ["END"]}),
        ({"stop": ["A", "B"]}, {"stop_sequences": ["A", "B"]}),
        ({"reasoning_effort": "high"}, {"thinking_effort": "high"}),
        ({"verbosity": "low"}, {"verbosity": "low"}),
        ({"logit_bias": {"1": 2}}, {"logit_bias": {"1": 2}}),
        ({"response_format": {"type": "json_object"}}, {"json_object": True}),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "x"},
                                                    image("low"), image("auto")]}]},
         {"image_detail": "low"}),
    ],
    ids=lambda value: next(iter(value)),
)  # fmt: skip
async def test_a_chat_parameter_has_the_models_name(
    gpt: Any, foreign: Foreign, asked: dict[str, Any], options: dict[str, Any]
) -> None:
    """Whatever OpenAI calls it."""
    await gpt.chat.completions.create(**{"model": "foreign", "messages": HELLO, **asked})

    assert foreign.calls[0].options == options
    assert foreign.calls[0].schema is None


@pytest.mark.parametrize(
    ("asked", "options"),
    [
        ({"max_output_tokens": 5}, {"max_output_tokens": 5}),
        ({"reasoning": {"effort": "low", "summary": "auto"}},
         {"thinking_effort": "low", "reasoning_summary": "auto"}),
        ({"text": {"verbosity": "low", "format": {"type": "json_object"}}},
         {"verbosity": "low", "json_object": True}),
    ],
    ids=lambda value: next(iter(value)),
)  # fmt: skip
async def test_a_response_parameter_has_the_models_name(
    gpt: Any, foreign: Foreign, asked: dict[str, Any], options: dict[str, Any]
) -> None:
    """The same for /v1/responses."""
    await gpt.responses.create(model="foreign", input="x", **asked)

    assert foreign.calls[0].options == options


async def test_a_refused_value_is_told_of_its_parameter(gpt: Any) -> None:
    """Not of the option that it became."""
    with pytest.raises(openai.BadRequestError) as raised:
        await gpt.chat.completions.create(
            model="foreign", messages=HELLO, reasoning_effort="minimal"
        )

    assert (raised.value.code, raised.value.param) == ("invalid_option", "reasoning_effort")


async def test_all_images_are_looked_at_alike(gpt: Any, foreign: Foreign) -> None:
    """A model has one level for all, so another one is refused where it stands."""
    content = [image("low"), {"type": "text", "text": "x"}, image("high")]
    with pytest.raises(openai.BadRequestError) as raised:
        await gpt.chat.completions.create(
            model="foreign", messages=[{"role": "user", "content": content}]
        )

    assert raised.value.param == "messages.0.content.2.image_url.detail"


async def test_attachments_of_a_response_are_inline(gpt: Any, foreign: Foreign) -> None:
    """Images and files, with their types."""
    content = [
        {"type": "input_text", "text": "What are these?"},
        {"type": "input_image", "image_url": PNG, "detail": "auto"},
        {"type": "input_file", "file_data": "data:text/plain;base64,aGk=", "filename": "a.txt"},
    ]
    await gpt.responses.create(model="foreign", input=[{"role": "user", "content": content}])

    _, *parts = foreign.calls[0].messages[0].parts
    assert [part.attachment.type for part in parts] == ["image/png", "text/plain"]
    assert parts[1].attachment.content == b"hi"


@pytest.mark.parametrize(
    ("part", "told"),
    [({"type": "input_audio", "input_audio": {"data": "aGk=", "format": "mp3"}}, "audio/mpeg"),
     ({"type": "file", "file": {"file_data": "data:application/pdf;base64,aGk="}},
      "application/pdf")],
    ids=["audio", "file"],
)  # fmt: skip
async def test_what_a_model_does_not_take_is_named(
    gpt: Any, part: dict[str, Any], told: str
) -> None:
    """Recordings and files reach the model with their type; this one takes neither."""
    content = [{"type": "text", "text": "x"}, part]
    with pytest.raises(openai.BadRequestError) as raised:
        await gpt.chat.completions.create(
            model="foreign", messages=[{"role": "user", "content": content}]
        )

    assert raised.value.code == "unsupported_by_model"
    assert told in raised.value.message
