"""Bodies read into their shapes; what is wrong is told of the parameter where it stands."""

from collections.abc import Sequence
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from llm_stream.errors import InvalidField, MissingField, StreamError, UnknownField
from llm_stream.web.bodies import Body

B = TypeVar("B", bound=Body)

MAX_NAME_CHARS: Final = 100


def checked(shape: type[B], value: dict[str, Any]) -> B:
    """The body in its shape.

    Raises:
        MissingField, UnknownField, InvalidField: naming the parameter at fault (the caller's
            doing).
    """
    try:
        return shape.model_validate(value)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)
        paths = [_path(value, fault["loc"]) for fault in faults]
        # Of a union each member objects; the one that got furthest is the one that was meant.
        place = max(range(len(paths)), key=lambda place: (len(paths[place]), -place))
        raise _told(faults[place], ".".join(paths[place])) from error


def _path(value: Any, loc: Sequence[int | str]) -> list[str]:
    """Where a fault is, without the names that pydantic gives to members of unions."""
    path: list[str] = []
    for place, part in enumerate(loc):
        if isinstance(value, dict) and (part in value or place == len(loc) - 1):
            value = value.get(part)
        elif isinstance(value, list) and isinstance(part, int):
            value = value[part]
        else:
            continue
        path.append(str(part)[:MAX_NAME_CHARS])
    return path


def _told(fault: Any, path: str) -> StreamError:
    kind = fault["type"]
    if kind == "missing":
        return MissingField(f"Parameter {path!r} is required.", field=path)
    empty = kind == "too_long" and fault["ctx"]["max_length"] == 0
    if kind in {"extra_forbidden", "none_required"} or empty:
        return UnknownField(
            f"Parameter {path!r} is not supported here. /docs/openai lists what is.", field=path
        )
    return InvalidField(f"Parameter {path!r}: {fault['msg']}.", field=path)
