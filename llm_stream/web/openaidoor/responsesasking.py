"""A request for a response as a spec."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from llm_stream.models.chunks import Message
from llm_stream.recipes.spec import RunSpec
from llm_stream.web.intake import Caller
from llm_stream.web.openaidoor.asking import EFFORT, MAX_TOKENS, Question
from llm_stream.web.openaidoor.responsesshapes import (
    InputFile,
    InputImage,
    InputMessage,
    InputReasoning,
    InputText,
    ResponsesBody,
)
from llm_stream.web.openaidoor.toolshapes import InputCall, InputResult
from llm_stream.web.openaidoor.turns import Inline, Turn, inline, input_call, said_before
from llm_stream.web.service import Service


def spec_of_response(
    service: Service, body: ResponsesBody, caller: Caller, earlier: Sequence[Message] = ()
) -> RunSpec:
    """The spec of a response; one in the background goes on without readers.

    Args:
        service: knows what names mean.
        body: what is asked.
        caller: who asks.
        earlier: the conversation it goes on from.

    Raises:
        CallerError: naming the parameter at fault; nothing was sent to a model.
    """
    question = Question(service, body)
    question.option("max_output_tokens", body.max_output_tokens, *MAX_TOKENS)
    if body.text is not None:
        question.option("text.verbosity", body.text.verbosity, "verbosity")
        question.format("text.format", body.text.format, "text.format.schema")
    if body.reasoning is not None:
        question.option("reasoning.effort", body.reasoning.effort, *EFFORT)
        summary = body.reasoning.summary or body.reasoning.generate_summary
        # How thoughts are told; a model without a choice tells them as it does.
        if question.has("reasoning_summary"):
            question.option("reasoning.summary", summary, "reasoning_summary")
    functions = [tool.function for tool in body.tools or ()]
    question.tools(functions, "", body.tool_choice, body.parallel_tool_calls)
    question.messages(_turns(question, body, earlier))
    spec = question.spec(caller, "input")
    spec = replace(spec, instructions=len(body.instructions or ""))
    return replace(spec, abandon_seconds=None) if body.background else spec


def _turns(question: Question, body: ResponsesBody, earlier: Sequence[Message]) -> Iterator[Turn]:
    if body.instructions:
        yield Turn("system", body.instructions, (), "instructions")
    for message in earlier:
        yield said_before(message, "previous_response_id")
    if isinstance(body.input, str):
        yield Turn("user", body.input, (), "input")
        return
    details: dict[str, str] = {}
    answer: Turn | None = None
    for place, item in enumerate(body.input):
        param = f"input.{place}"
        if isinstance(item, InputReasoning):
            continue
        if isinstance(item, InputCall):
            # Calls belong to the answer before them: together they are one turn.
            answer = answer or Turn("assistant", "", (), param)
            answer = answer._replace(calls=(*answer.calls, input_call(item, param)))
            continue
        if answer is not None:
            yield answer
            answer = None
        turn = (
            _result(item, param) if isinstance(item, InputResult) else _turn(item, param, details)
        )
        if turn.role == "assistant":
            answer = turn
        else:
            yield turn
    if answer is not None:
        yield answer
    question.detail(details)


def _result(item: InputResult, param: str) -> Turn:
    output = item.output
    text = output if isinstance(output, str) else "\n".join(part.text for part in output)
    return Turn("tool", text, (), param, (), item.call_id, f"{param}.call_id")


def _turn(item: InputMessage, param: str, details: dict[str, str]) -> Turn:
    """A message; how closely its images are looked at is noted by parameter."""
    if isinstance(item.content, str):
        return Turn(item.role, item.content, (), param)
    texts: list[str] = []
    inlines: list[Inline] = []
    for number, part in enumerate(item.content):
        where = f"{param}.content.{number}"
        match part:
            case InputText():
                texts.append(part.text)
            case InputImage():
                inlines.append(inline(part.image_url, f"{where}.image_url"))
                if part.detail not in {None, "auto"}:
                    details[f"{where}.detail"] = str(part.detail)
            case InputFile():
                inlines.append(inline(part.file_data, f"{where}.file_data"))
    return Turn(item.role, "\n".join(texts), tuple(inlines), param)
