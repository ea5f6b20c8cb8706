"""Runs of the past over HTTP: listed page by page, and looked at one by one."""

from typing import Any

import aiohttp
import pytest

from llm_stream.testing import Fault, Script, ScriptedModel
from llm_stream.testing.service import RunningService

from ..cliexamples import answer
from ..conftest import StartService

JUDGED = {
    "stage_name": "design",
    "criteria": ["The pages are listed"],
    "documents": [{"id": "notes", "text": "Pages: start, basket."}],
}


@pytest.fixture
async def service(start_service: StartService) -> RunningService:
    """A service with a history, and a model that breaks off."""
    broken = ScriptedModel("broken", Script(fault=Fault(at=1, error=ConnectionError("x"))))
    return await start_service(
        broken, history={"enabled": True}, models={"retries": {"initial_seconds": 0}}
    )


class Client:
    """Asks a service."""

    def __init__(self, http: aiohttp.ClientSession, service: RunningService) -> None:
        self.http = http
        self.url = service.url

    async def post(self, recipe: str = "generate", **body: Any) -> str:
        """The id of the run of a call."""
        async with self.http.post(f"{self.url}/v1/{recipe}", json=body) as response:
            return response.headers["X-Run-Id"]

    async def get(self, path: str = "", status: int = 200, **query: str) -> Any:
        """What is answered below /v1/history."""
        async with self.http.get(f"{self.url}/v1/history{path}", params=query) as response:
            assert response.status == status, await response.text()
            return await response.json()

    async def live(self, path: str = "") -> Any:
        """The same below /v1/runs."""
        async with self.http.get(f"{self.url}/v1/runs{path}") as response:
            return await response.json()


@pytest.fixture
def client(http: aiohttp.ClientSession, service: RunningService) -> Client:
    """Asks the service."""
    return Client(http, service)


async def test_runs_are_listed_page_by_page(client: Client) -> None:
    """`next` leads to the next page, and is null on the last one."""
    runs = [await client.post(prompt=str(number)) for number in range(3)]
    first = await client.get(limit="2")
    second = await client.get(limit="2", before=first["next"])

    assert [line["id"] for line in first["runs"] + second["runs"]] == runs[::-1]
    assert second["next"] is None
    assert (await client.get(limit="3"))["next"] is None


async def test_a_line_says_what_the_live_one_says(client: Client) -> None:
    """Under the same names, as long as both are there."""
    await client.post(prompt="Plan a shop")
    await client.post(prompt="Plan a shop", model="broken")
    past, live = (await client.get())["runs"], (await client.live())["runs"]

    for line, known in zip(past, live, strict=True):
        same = line.keys() & known.keys() - {"statistics"}
        assert {name: line[name] for name in same} == {name: known[name] for name in same}
        assert line["statistics"].items() <= known["statistics"].items()
    assert [(line["error_code"], line["partial"]) for line in past] == [
        ("upstream_failed", True),
        (None, False),
    ]


async def test_lists_are_narrowed_down(client: Client) -> None:
    """By recipe and by state; inner runs are in no list."""
    failed = await client.post(prompt="a", model="broken")
    reasoned = await client.post("reason", question="b", strategy="critique")

    assert [line["id"] for line in (await client.get(state="failed"))["runs"]] == [failed]
    assert [line["id"] for line in (await client.get(recipe="reason"))["runs"]] == [reasoned]
    assert len((await client.get())["runs"]) == 2


@pytest.mark.parametrize("mode", ["use", "bypass"], ids=["kept", "logged"])
@pytest.mark.parametrize(
    ("recipe", "body"),
    [
        ("generate", {"prompt": "Plan a shop"}),
        ("evaluate", JUDGED),
        ("reason", {"question": "b", "strategy": "critique"}),
    ],
    ids=["generate", "evaluate", "reason"],
)
async def test_a_run_is_shown_as_it_was(
    client: Client, model: ScriptedModel, recipe: str, body: dict[str, Any], mode: str
) -> None:
    """What the snapshot of the live one says, whether its answer is kept or only logged."""
    model.respond = answer if recipe == "evaluate" else model.respond
    run = await client.post(recipe, **body, cache={"mode": mode})
    live, past = await client.live(f"/{run}"), await client.get(f"/{run}")
    names = ["state", "title", "model", "text", "finish_reason"]
    if mode == "use":
        names.append("text_sha256")
        assert [item["path"] for item in past["items"]] == [i["path"] for i in live["items"]]
    if mode == "use" or recipe == "evaluate":
        names.append("result")

    assert {name: past[name] for name in names} == {name: live[name] for name in names}
    assert past["kept"] == (mode == "use")
    assert past["messages"]


async def test_a_failure_is_told_by_its_code(client: Client) -> None:
    """With the text that had come, and the sentence that belongs to the code."""
    run = await client.post(prompt="a", model="broken")
    past = await client.get(f"/{run}")

    assert (past["text"], past["error_code"]) == ("Hello", "upstream_failed")
    assert past["error"]["type"] == "/docs/errors#upstream_failed"


async def test_a_batch_is_found_with_its_runs(client: Client) -> None:
    """What its requests were answered is in runs of their own, which can be looked at."""
    asked = [{"input": {"prompt": "a"}}, {"input": {"prompt": "b", "model": "broken"}}]
    past = await client.get(f"/{await client.post('batch', requests=asked, concurrency=1)}")
    inner = [await client.get(f"/{line['id']}") for line in past["runs"]]

    assert (past["recipe"], past["state"], past["messages"]) == ("batch", "completed", [])
    assert [line["state"] for line in past["runs"]] == ["completed", "failed"]
    assert {line["title"] for line in past["runs"]} == {""}
    assert [run["text"] for run in inner] == ["Hello, world.", "Hello"]
    assert [run["messages"][-1]["content"] for run in inner] == ["a", "b"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "1001"}, "limit"),
        ({"before": ""}, "before"),
        ({"before": "é"}, "before"),
        ({"state": "running"}, "state"),
        ({"recipe": "dream"}, "recipe"),
    ],
    ids=str,
)
async def test_bad_values_are_refused(client: Client, query: dict[str, str], field: str) -> None:
    """A 400 problem names the field."""
    problem = await client.get(status=400, **query)

    assert (problem["code"], problem["field"]) == ("invalid_field", field)


async def test_a_run_that_is_not_there_is_told(client: Client) -> None:
    """As one that never was."""
    assert (await client.get("/run_x", status=404))["code"] == "unknown_run"


@pytest.mark.parametrize("path", ["", "/run_x"])
async def test_without_a_history_there_is_no_past(
    start_service: StartService, http: aiohttp.ClientSession, path: str
) -> None:
    """It says what is switched off."""
    problem = await Client(http, await start_service()).get(path, status=404)

    assert problem["code"] == "not_found"
    assert "history" in problem["detail"]
