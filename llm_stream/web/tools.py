"""The tools a request declares. They are the caller's: this service runs none."""

from typing import Final

import orjson

from llm_stream.config import LimitsSection
from llm_stream.errors import InvalidField, PayloadTooLarge
from llm_stream.models.toolset import Tool, Toolset
from llm_stream.recipes.schemas import check_schema
from llm_stream.web.bodies import GenerateBody, ToolBody

SCHEMAS: Final = 8
"""All declarations together may have as many bytes as so many JSON Schemas of answers."""


def tools_of(body: GenerateBody, limits: LimitsSection) -> Toolset | None:
    """The tools and how they may be called; None without any.

    Raises:
        InvalidField: a schema is none, two tools have one name, or one that is not there has to
            be called (the caller's doing).
        PayloadTooLarge: they are larger than some schemas may be.
    """
    choice = body.tool_choice
    named = "" if isinstance(choice, str) else choice.name
    if not body.tools:
        if named or choice == "required":
            raise InvalidField("There are no 'tools' to be called.", field="tool_choice")
        return None
    size, most = sum(map(_bytes, body.tools)), SCHEMAS * limits.schema_bytes
    if size > most:
        raise PayloadTooLarge(f"The tools have {size} bytes; {most} are allowed.", field="tools")
    names = [tool.name for tool in body.tools]
    for place, tool in enumerate(body.tools):
        if tool.name in names[:place]:
            raise InvalidField(
                f"Two tools have the name {tool.name!r}.", field=f"tools.{place}.name"
            )
        _check(tool, f"tools.{place}.parameters")
    if named and named not in names:
        raise InvalidField(f"There is no tool {named[:64]!r}.", field="tool_choice")
    return Toolset(
        tuple(_tool(tool) for tool in body.tools),
        choice if isinstance(choice, str) else "required",
        named,
        body.parallel_tool_calls,
    )


def _bytes(tool: ToolBody) -> int:
    return len(tool.description.encode()) + len(orjson.dumps(tool.parameters))


def _check(tool: ToolBody, field: str) -> None:
    try:
        check_schema(tool.parameters)
    except InvalidField as error:
        error.field = field
        raise
    if tool.parameters.get("type", "object") != "object":
        raise InvalidField("The arguments of a tool are an object.", field=field)


def _tool(tool: ToolBody) -> Tool:
    # Providers want it said, also where a tool takes no arguments.
    parameters = {"type": "object", "properties": {}} | tool.parameters
    return Tool(tool.name, tool.description, parameters, tool.strict)
