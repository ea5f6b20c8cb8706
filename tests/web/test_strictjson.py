"""JSON that is valid and refused all the same."""

from typing import Any

import orjson
import pytest

from llm_stream.errors import MalformedRequest
from llm_stream.web.strictjson import MAX_VALUES, check_strictly


def check(text: Any) -> None:
    """Parse and check, as text and as bytes."""
    check_strictly(text, orjson.loads(text))
    check_strictly(text.encode(), orjson.loads(text))


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        '{"a":1,"b":{"a":1},"c":[{"a":1},{"a":1}]}',
        '{"a" : ":", "b": "\\":", "c:": ["::"]}',
        '{"a": "\\\\u0000", "b": "\\\\\\\\u0000", "c": "\\u0001"}',
    ],
)
def test_what_means_one_thing_passes(text: Any) -> None:
    """Equal keys of different objects, colons in texts, backslashes before `u0000`."""
    check(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a":1,"a":2}', "'a' twice"),
        ('{"a":1,"\\u0061":2}', "'a' twice"),
        ('{"x":[{"b":":"},{"a":1,"b":2,"a":1}]}', "'a' twice"),
        ('{"\\n":1,"\\n":1}', "twice"),
        ('{"a":"\\u0000"}', "0000"),
        ('{"a":"\\\\\\u0000"}', "0000"),
        ('{"\\u0000":1}', "0000"),
        ('{"a":' * 65 + "1" + "}" * 65, "64 levels"),
        ('{"a":' + "[" * 64 + "]" * 64 + "}", "64 levels"),
    ],
)
def test_what_means_two_things_is_refused(text: Any, said: Any) -> None:
    """A key twice, however it is written; U+0000; too deep."""
    with pytest.raises(MalformedRequest, match=said):
        check(text)


@pytest.mark.parametrize("more", [0, 1])
@pytest.mark.parametrize(
    "shape",
    [lambda n: {"a": [1] * (n - 1)}, lambda n: dict.fromkeys(map(str, range(n)), 1)],
    ids=["list", "object"],
)
def test_values_are_bounded(more: Any, shape: Any) -> None:
    """As many as allowed pass, one more does not, wherever they are."""
    text = orjson.dumps(shape(MAX_VALUES + more)).decode()
    if more:
        with pytest.raises(MalformedRequest, match="values"):
            check(text)
    else:
        check(text)
