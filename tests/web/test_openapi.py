"""The document of the HTTP surface: complete, and true of what the service takes and answers."""

import json
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from llm_stream.testing.service import RunningService
from llm_stream.web.openapi import document
from llm_stream.web.operations import OPERATIONS, TAGS

from ..replica import replicas

CHECKS: Any = [content_type_conformance, response_schema_conformance, status_code_conformance]
SCHEMA = schemathesis.openapi.from_dict(json.loads(document()))
MEANINGFUL = {"model", "template", "options", "fallback_models", "schema", "cache", "attachments"}
GOOD: dict[str, Any] = {"prompt": "x", "requests": [{"input": {"prompt": "y"}}]}
PAGES = {"/", "/docs", "/docs/{path}", "/static/{path}"}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service in a process of its own: who asks it here does not run its loop."""
    with replicas(tmp_path_factory.mktemp("service"), count=1, chunks=4) as (replica,):
        yield replica.url


@pytest.fixture
def known(url: str) -> dict[str, str]:
    """What there is to name in paths."""
    answer = requests.post(f"{url}/v1/generate", json={"prompt": "known"}, timeout=10).json()
    return {"run": answer["id"], "key": answer["cache"]["key"], "name": "summarize"}


def test_every_path_is_described(service: RunningService) -> None:
    """Whatever is routed, but pages, is in the document; nothing else is."""
    routed = {
        f"{route.method} {route.resource.canonical}"
        for route in service.app.router.routes()
        if route.resource is not None
        and route.resource.canonical not in PAGES
        and route.method != "HEAD"
    }

    assert set(OPERATIONS) == routed


async def test_the_document_is_served(service: RunningService, http: aiohttp.ClientSession) -> None:
    """As JSON, with each operation and each shape."""
    async with http.get(f"{service.url}/openapi.json") as response:
        told = await response.json()

    assert told == json.loads(document())
    assert told["openapi"] == "3.1.0"
    assert sum(len(methods) for methods in told["paths"].values()) == len(OPERATIONS)


@pytest.mark.parametrize(
    "name", [name for name, operation in OPERATIONS.items() if operation.body is not None]
)
def test_an_example_is_a_body(name: str) -> None:
    """What the reference offers to send is accepted by what validates it."""
    shape, example = OPERATIONS[name].body, OPERATIONS[name].example
    assert shape is not None
    assert example is not None

    assert shape.model_validate(example).model_dump(exclude_unset=True)


def test_every_operation_has_a_name_and_a_group_of_its_own() -> None:
    """Names are unique, and no group is empty."""
    operations = [
        o for methods in json.loads(document())["paths"].values() for o in methods.values()
    ]

    assert len({operation["operationId"] for operation in operations}) == len(OPERATIONS)
    assert {tag for operation in operations for tag in operation["tags"]} == set(TAGS)
    assert {len(operation["tags"]) for operation in operations} == {1}


@pytest.mark.slow
@pytest.mark.parametrize("name", [*OPERATIONS])
def test_answers_are_as_the_document_says(name: Any, url: str, known: dict[str, str]) -> None:
    """Asked as it allows, and not: a declared status, type and shape, and never a 500."""
    method, _, path = name.partition(" ")

    operation = SCHEMA[path][method]
    allowed = operation.as_strategy()
    if OPERATIONS[name].body is not None:
        allowed |= operation.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE)

    @settings(
        max_examples=25,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=allowed, real=st.booleans())
    def ask(case: Any, real: bool) -> None:
        if real:
            case.path_parameters = {place: known[place] for place in case.path_parameters}
            if isinstance(case.body, dict):
                # What the words mean is no part of the document: these exist, or mean nothing.
                case.body = {k: v for k, v in case.body.items() if k not in MEANINGFUL} | {
                    k: v for k, v in GOOD.items() if k in case.body
                }
        response = case.call(base_url=url, timeout=10)
        case.validate_response(response, checks=CHECKS)
        assert response.status_code != 500

    ask()
