"""The JavaScript client before a service that asks for keys, on both wires."""

from pathlib import Path
from typing import Any

import pytest

from llm_stream.access.clientfile import ClientRecord, editing, now
from llm_stream.access.clientkey import new_key

from ..conftest import StartService
from .conftest import Asker, Client, Wire

pytestmark = pytest.mark.node

BODY = {"prompt": "Hi"}


@pytest.fixture
def key(tmp_path: Path) -> str:
    """The key of the only client."""
    made = new_key()
    with editing(tmp_path / "clients.toml") as clients:
        clients[made.id] = ClientRecord(name="page", hash=made.hash, created_at=now())
    return made.text


@pytest.fixture
async def guarded(
    start_service: StartService, asker: Asker, wire: Wire, tmp_path: Path, key: str
) -> Client:
    """A client without a key of a service that asks for one."""
    service = await start_service(auth={"clients_file": str(tmp_path / "clients.toml")})
    return Client(asker, service.url, wire=wire)


async def test_a_key_opens_both_wires(guarded: Client, key: str) -> None:
    """A socket by the ticket it is changed into."""
    answer = await guarded.ask("result", {"key": key}, body=BODY)

    assert answer["text"] == "Hello, world."


@pytest.mark.parametrize("wrong", ["", "lls_wrong"])
async def test_without_one_that_holds_it_is_told(guarded: Client, wrong: str) -> None:
    """By the service's error, and by one event for a page that can ask for another."""
    told = await guarded.ask("unauthenticated", {"key": wrong}, body=BODY)

    assert told == ["unauthenticated", "unauthenticated"]


@pytest.mark.parametrize("wire", ["websocket"])
async def test_a_ticket_may_come_from_elsewhere(guarded: Client, key: Any) -> None:
    """A page reads by tickets that its own server gets, and never sees the key."""
    told = await guarded.ask("ticketed", body=BODY, key=key)

    assert told == ["unexpected_answer", "Hello, world."]
