"""A chat completion's request as a spec."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from llm_stream.errors import InvalidField, MissingField, UnknownField
from llm_stream.recipes.spec import RunSpec
from llm_stream.web.intake import Caller
from llm_stream.web.openaidoor.asking import EFFORT, MAX_TOKENS, STOP, Question
from llm_stream.web.openaidoor.shapes import (
    AudioPart,
    ChatBody,
    ChatMessage,
    FilePart,
    ImagePart,
    SchemaFormat,
    TextPart,
)
from llm_stream.web.openaidoor.toolshapes import ChatChoice
from llm_stream.web.openaidoor.turns import Inline, Turn, chat_call, inline
from llm_stream.web.service import Service

AUDIO_TYPES: Final = {"wav": "audio/wav", "mp3": "audio/mpeg"}


def spec_of_chat(service: Service, body: ChatBody, caller: Caller, *, once: bool) -> RunSpec:
    """The spec of a chat completion.

    Where it is asked for only `once`, without a key, its reader cannot return, and it is cancelled
    when the last one leaves.

    Raises:
        CallerError: naming the parameter at fault; nothing was sent to a model.
    """
    question = Question(service, body)
    if body.max_tokens is not None and body.max_completion_tokens is not None:
        raise InvalidField(
            "Give 'max_completion_tokens' or 'max_tokens', not both.", field="max_tokens"
        )
    question.option("max_tokens", body.max_tokens, *MAX_TOKENS)
    question.option("max_completion_tokens", body.max_completion_tokens, *MAX_TOKENS)
    question.option("stop", body.stop or None, *STOP)
    question.option("seed", body.seed)
    # 0 and none are what happens without them, also where a model has no such option.
    question.option("presence_penalty", body.presence_penalty or None)
    question.option("frequency_penalty", body.frequency_penalty or None)
    question.option("logit_bias", body.logit_bias or None)
    question.option("reasoning_effort", body.reasoning_effort, *EFFORT)
    question.option("verbosity", body.verbosity)
    asked = body.response_format
    question.format(
        "response_format",
        asked.json_schema if isinstance(asked, SchemaFormat) else asked,
        "response_format.json_schema.schema",
    )
    choice = body.tool_choice
    question.tools(
        [tool.function for tool in body.tools or ()],
        ".function",
        choice.function if isinstance(choice, ChatChoice) else choice,
        body.parallel_tool_calls,
    )
    question.messages(_turns(question, body.messages))
    spec = question.spec(caller, "messages")
    return spec if spec.abandon_seconds is None or not once else replace(spec, abandon_seconds=0.0)


def _turns(question: Question, messages: Sequence[ChatMessage]) -> Iterator[Turn]:
    details: dict[str, str] = {}
    for place, message in enumerate(messages):
        param = f"messages.{place}"
        if message.name is not None and message.role != "tool":
            unknown = f"{param}.name"
            raise UnknownField(
                f"Parameter {unknown!r} is not supported here. /docs/openai lists what is.",
                field=unknown,
            )
        calls = tuple(
            chat_call(call, f"{param}.tool_calls.{number}")
            for number, call in enumerate(message.tool_calls or ())
        )
        tools = (calls, message.tool_call_id, f"{param}.tool_call_id")
        content = "" if message.content is None and calls else message.content
        if content is None:
            missing = f"{param}.content"
            raise MissingField(f"Parameter {missing!r} is required.", field=missing)
        if isinstance(content, str):
            yield Turn(message.role, content, (), param, *tools)
            continue
        texts: list[str] = []
        inlines: list[Inline] = []
        for number, part in enumerate(content):
            where = f"{param}.content.{number}"
            match part:
                case TextPart():
                    texts.append(part.text)
                case ImagePart():
                    inlines.append(inline(part.image_url.url, f"{where}.image_url.url"))
                    if part.image_url.detail not in {None, "auto"}:
                        details[f"{where}.image_url.detail"] = str(part.image_url.detail)
                case AudioPart():
                    kind = AUDIO_TYPES[part.input_audio.format]
                    data = part.input_audio.data
                    inlines.append(Inline(kind, data, f"{where}.input_audio.data"))
                case FilePart():
                    inlines.append(inline(part.file.file_data, f"{where}.file.file_data"))
        yield Turn(message.role, "\n".join(texts), tuple(inlines), param, *tools)
    question.detail(details)
