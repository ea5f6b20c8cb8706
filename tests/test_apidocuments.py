"""The pages about the API are whole: each endpoint, all it takes and answers, in each language."""

import re
from collections.abc import Iterator

import pytest

from llm_stream.resources import resource
from llm_stream.testing.service import RunningService
from llm_stream.web.bodies import CommonBody
from llm_stream.web.negotiation import JSON_TYPE
from llm_stream.web.operation import Operation
from llm_stream.web.operations import OPERATIONS

from .documents import examples

DOCS = resource("docs")
PAGES = sorted(DOCS.glob("api-*.md"))
OPENAI = DOCS.joinpath("openai.md").read_text()
STARTING = DOCS.joinpath("api-recipes.md").read_text().partition("\n## Evaluate")[0]
LANGUAGES = {"bash", "python", "javascript"}
OPENAI_S_OWN = {"POST /v1/chat/completions", "POST /v1/responses"}
"""What takes further parameters only as far as they change nothing: docs/openai.md has those."""
COMMON = {*CommonBody.model_fields, "Prefer", "Idempotency-Key"}


def sections() -> Iterator[tuple[str, str]]:
    """Each (endpoint, its section)."""
    for page in PAGES:
        for section in re.split(r"^(?=## )", page.read_text(), flags=re.MULTILINE):
            line = re.match(r"## .+\n\n((?:`[A-Z]+ /\S*` ?)+)\n", section)
            for endpoint in re.findall("`(.+?)`", line[1] if line else ""):
                yield endpoint, section


SECTIONS = dict(sections())


def taken(operation: Operation) -> set[str]:
    """Names of what an operation takes, what all that start runs understand apart."""
    fields = {} if operation.body is None else operation.body.model_fields
    names = {field.alias or name for name, field in fields.items()}
    return (names | {*operation.query, *operation.headers}) - COMMON


def answered(operation: Operation) -> set[str]:
    """Names that an operation's JSON answers always have."""
    schemas = [(media or {}).get(JSON_TYPE, {}) for media in operation.answers.values()]
    return {name for schema in schemas for name in schema.get("required", ())}


def unnamed(names: set[str], *texts: str) -> list[str]:
    """Those that none of the texts has."""
    text = "\n".join(texts)
    return sorted(name for name in names if not re.search(rf"\b{re.escape(name)}\b", text))


def test_every_endpoint_has_one_section(service: RunningService) -> None:
    """Whatever is routed has one on one of the pages, and no other endpoint has."""
    routed = {
        f"{route.method} {route.resource.canonical}"
        for route in service.app.router.routes()
        if route.resource is not None and route.method != "HEAD"
    }

    assert set(SECTIONS) == routed
    assert len(SECTIONS) == len([*sections()])


@pytest.mark.parametrize("endpoint", [*SECTIONS])
def test_every_section_has_an_example_in_each_language(endpoint: str) -> None:
    """Each of them with its output."""
    assert {example.language for example in examples(SECTIONS[endpoint])} == LANGUAGES


@pytest.mark.parametrize("endpoint", [*OPERATIONS])
def test_every_section_names_what_is_taken(endpoint: str) -> None:
    """Fields, query and headers."""
    more = [OPENAI] if endpoint in OPENAI_S_OWN else []

    assert unnamed(taken(OPERATIONS[endpoint]), SECTIONS[endpoint], *more) == []


@pytest.mark.parametrize("endpoint", [*OPERATIONS])
def test_every_answer_is_explained(endpoint: str) -> None:
    """What a JSON answer always has is named in the section, or with what starts any run."""
    more = [STARTING] if 202 in OPERATIONS[endpoint].answers else []

    assert unnamed(answered(OPERATIONS[endpoint]), SECTIONS[endpoint], *more) == []


@pytest.mark.parametrize("field", sorted(CommonBody.model_fields))
def test_common_fields_are_told_once(field: str) -> None:
    """What every call that starts a run understands has a row of its own."""
    assert f"\n| `{field}` |" in STARTING
