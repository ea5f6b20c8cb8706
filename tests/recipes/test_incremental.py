"""Finished elements while the JSON is still being written; the whole, judged strictly."""

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_stream.errors import InvalidOutput
from llm_stream.recipes.incremental import ElementStream, whole_json

TASKS = [
    {"id": "cart", "title": 'A "cart" {for} [the] shop \\ é 🙂', "depends_on": [], "n": 1.5},
    {"id": "pay", "title": "", "depends_on": ["cart"], "inner": {"tasks": [{"id": "no"}]}},
]
TEXT = orjson.dumps({"note": {"tasks": [1]}, "tasks": TASKS, "open_questions": ["}"]}).decode()


def read(text: str, size: int) -> list[object]:
    """All elements, fed in pieces of so many characters."""
    stream = ElementStream("tasks")
    return [
        element
        for place in range(0, len(text), size)
        for element in stream.feed(text[place : place + size])
    ]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7, 50, 10_000])
def test_elements_are_the_same_however_the_text_is_cut(size: int) -> None:
    """Split strings, escapes and characters change nothing; only the path's own elements count."""
    assert read(TEXT, size) == TASKS


def test_an_element_comes_with_its_last_brace() -> None:
    """The first task is there before anything of the second is."""
    stream = ElementStream("tasks")
    first_end = TEXT.index('"n":1.5}') + len('"n":1.5}')

    assert list(stream.feed(TEXT[: first_end - 1])) == []
    assert stream.feed(TEXT[first_end - 1 : first_end]) == TASKS[:1]


@pytest.mark.parametrize("size", [1, 5, 1000])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Here it is:\n```json\n", "\n```\nHope that helps {or} not."),
        ("  \n", "\n\n{}"),
        ("", " x"),
    ],
)
def test_text_around_the_json_is_left_out(before: str, after: str, size: int) -> None:
    """Fences and chatter before and behind do not disturb the elements, nor the whole."""
    assert read(before + TEXT + after, size) == TASKS
    assert whole_json(before + TEXT + after)["tasks"] == TASKS


def test_after_a_fault_no_more_elements_come() -> None:
    """What follows broken JSON is not guessed at."""
    assert read('{"tasks":[{"id":1},{"id":NaN},{"id":3}]}', 4) == [{"id": 1}]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=10,
    ),
    st.integers(1, 9),
)
def test_any_json_comes_out_as_it_went_in(value: object, size: int) -> None:
    """Whatever an element holds, the stream gives what a whole parse gives."""
    text = json.dumps({"tasks": [{"v": value}, {"v": 1}]}, ensure_ascii=False)

    assert read(text, size) == [{"v": value}, {"v": 1}]


@pytest.mark.parametrize(
    "text",
    ["", "no json here", '{"a": NaN}', '{"a": Infinity}', '{"a": 1', "[1, 2", "{'a': 1}",
     "[" * 100_000],
)  # fmt: skip
def test_what_is_not_strict_json_is_invalid(text: str) -> None:
    """Nothing, half of it, NaN, other quotes, endless nesting: `invalid_output`."""
    with pytest.raises(InvalidOutput):
        whole_json(text)


@pytest.mark.parametrize("text", ["[1]", " 3 ", '"x"', "null", 'x [1, {"a": 2}] y'])
def test_any_json_value_is_a_whole(text: str) -> None:
    """Arrays and bare values are answers too."""
    assert whole_json(text) in ([1], 3, "x", None, [1, {"a": 2}])


@pytest.mark.parametrize("around", ["{}", "Here: {}.", "```json\n{}\n```", "``` json\n{}\n``` ok"])
def test_one_parser_says_what_a_number_is(around: str) -> None:
    """Whatever stands around the JSON, its value is the same."""
    number = "123456789012345678901"
    assert whole_json(around.format(f'{{"n": {number}}}')) == {"n": float(number)}


def test_a_fence_that_never_closes() -> None:
    """A model that goes on with line ends is invalid; looking for its end takes no second look."""
    with pytest.raises(InvalidOutput):
        whole_json("```json" + "\n" * 200_000)
