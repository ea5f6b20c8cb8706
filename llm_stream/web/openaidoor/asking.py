"""What OpenAI's parameters mean in the words of POST /v1/generate.

The same question makes the same spec whichever way it came, so answers are shared between both.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from llm_stream.errors import InvalidField, StreamError
from llm_stream.recipes.spec import RunSpec
from llm_stream.web.intake import Caller
from llm_stream.web.openaidoor.shapes import Common, JsonSchema, ObjectFormat, TextFormat
from llm_stream.web.openaidoor.toolshapes import Function, Named
from llm_stream.web.openaidoor.turns import Turn
from llm_stream.web.recipes import spec_of
from llm_stream.web.service import Service

WHOLE: Final = frozenset({"input", "instructions", "previous_response_id"})
"""Parameters that have no parts of their own, whatever has come of them."""

SYSTEM: Final = frozenset({"system", "developer"})

MAX_TOKENS: Final = ("max_tokens", "max_output_tokens", "max_completion_tokens")
STOP: Final = ("stop", "stop_sequences")
EFFORT: Final = ("reasoning_effort", "thinking_effort", "thinking_level")
"""What models call the same option; the first one that a model has is meant."""


class Question:
    """A body of /v1/generate while it is put together, and where its parts came from.

    Args:
        service: knows the models.
        body: what was asked; its own extensions are taken as they are.

    Raises:
        UnknownModel: there is no such model (the caller's doing).
    """

    def __init__(self, service: Service, body: Common) -> None:
        self._service = service
        adapter = service.catalog.find(body.model)
        self._has: Collection[str] = service.catalog.options_of(adapter)
        self._options: dict[str, Any] = {}
        self._value: dict[str, Any] = {"options": self._options}
        self._params: dict[str, str] = {}
        if body.model is not None:
            self._value["model"] = body.model
        self.option("temperature", body.temperature)
        self.option("top_p", body.top_p)
        for name in ("cache", "timeouts"):
            if (section := getattr(body, name)) is not None:
                self._value[name] = section.model_dump(exclude_unset=True)
        for name in ("fallback_models", "tags"):
            if (names := getattr(body, name)) is not None:
                self._value[name] = names

    def has(self, option: str) -> bool:
        """Whether the model has an option of that name."""
        return option in self._has

    def option(self, param: str, value: Any, *names: str) -> None:
        """Set an option of the model, if there is a value.

        Args:
            param: the parameter it came by.
            value: what it is; None: nothing was said.
            names: what models call it, if not as the parameter.
        """
        if value is None:
            return
        names = names or (param,)
        name = next((name for name in names if name in self._has), names[0])
        if name == "stop_sequences" and isinstance(value, str):
            value = [value]
        self._options[name] = value
        self._params[f"options.{name}"] = param

    def format(
        self, param: str, asked: TextFormat | ObjectFormat | JsonSchema | None, schema: str
    ) -> None:
        """Say how the answer has to be.

        Args:
            param: the parameter it came by.
            asked: any text, any object, or what meets a schema.
            schema: the parameter of the schema.
        """
        if isinstance(asked, JsonSchema):
            described = {} if asked.description is None else {"description": asked.description}
            self._value["schema"] = described | asked.schema_
            self._params["schema"] = schema
        elif isinstance(asked, ObjectFormat) and self.has("json_object"):
            self._options["json_object"] = True
            self._params["options.json_object"] = param
        elif isinstance(asked, ObjectFormat):
            self._value["schema"] = {"type": "object"}
            self._params["schema"] = param

    def detail(self, given: Mapping[str, str]) -> None:
        """How closely images are looked at: parameter -> level. Models have one level for all.

        Raises:
            InvalidField: the levels differ (the caller's doing).
        """
        for param, level in given.items():
            if self._options.get("image_detail", level) != level:
                raise InvalidField(
                    f"Parameter {param!r} has to be the same for all images.", field=param
                )
            self.option(param, level, "image_detail")

    def messages(self, turns: Iterable[Turn]) -> None:
        """The conversation; system prompts at its beginning are one."""
        messages: list[dict[str, Any]] = []
        params = self._params
        for turn in turns:
            if turn.role in SYSTEM and messages and all(m["role"] == "system" for m in messages):
                messages[0]["content"] += f"\n\n{turn.text}"
                continue
            place = f"messages.{len(messages)}"
            params[place] = turn.param
            params[f"{place}.tool_call_id"] = turn.call_param or turn.param
            for number, inline in enumerate(turn.inlines):
                params[f"{place}.attachments.{number}"] = inline.param
                params[f"{place}.attachments.{number}.data"] = inline.param
            for number, call in enumerate(turn.calls):
                where = f"{place}.tool_calls.{number}"
                params[where] = call.param
                params[f"{where}.tool_call_id"] = f"{call.param}.{call.id_name}"
                params[f"{where}.provider_metadata"] = f"{call.param}.extra_content"
            messages.append(
                {
                    "role": "system" if turn.role in SYSTEM else turn.role,
                    "content": turn.text,
                    "attachments": [{"type": i.type, "data": i.data} for i in turn.inlines],
                    "tool_calls": [call.value for call in turn.calls],
                    "tool_call_id": turn.call_id,
                }
            )
        self._value["messages"] = messages

    def tools(
        self,
        functions: Sequence[Function],
        within: str,
        choice: str | Named | None,
        parallel: bool | None,  # noqa: FBT001 - as it was said
    ) -> None:
        """The tools that are declared, and how they may be called.

        Args:
            functions: the declarations.
            within: where in one of `tools` its declaration is.
            choice: whether one has to be called, or which.
            parallel: whether several may be.
        """
        self._params |= {f"tools.{n}": f"tools.{n}{within}" for n in range(len(functions))}
        self._value["tools"] = [
            {
                "name": function.name,
                "description": function.description or "",
                "parameters": function.parameters or {},
                "strict": bool(function.strict),
            }
            for function in functions
        ]
        if choice is not None:
            named = {"name": choice.name} if isinstance(choice, Named) else None
            self._value["tool_choice"] = named or choice
        if parallel is not None:
            self._value["parallel_tool_calls"] = parallel

    def spec(self, caller: Caller, messages: str) -> RunSpec:
        """The spec of this question.

        Args:
            caller: who asks.
            messages: the parameter that has the conversation.

        Raises:
            CallerError: naming the parameter at fault; nothing was sent to a model.
        """
        self._params["messages"] = self._params["attachments"] = messages
        try:
            return spec_of(self._service.intake, "generate", self._value, caller)
        except StreamError as error:
            if error.field:
                error.field = self._param_of(error.field)
            raise

    def _param_of(self, field: str) -> str:
        """The parameter that a field of /v1/generate came by."""
        known, rest = field, ""
        while known and known not in self._params:
            known, _, last = known.rpartition(".")
            rest = f".{last}{rest}"
        if not known:
            return field
        param = self._params[known]
        return param if param in WHOLE else param + rest
