"""By which names the service may be addressed."""

import aiohttp
import pytest

from llm_stream.errors import HostRefused
from llm_stream.web.hosts import AllowedHosts

from ..conftest import StartService


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.1:8080", "127.8.8.8", "localhost", "LOCALHOST:1", "localhost.:80",
     "[::1]:8080", "[::1]", "app.localhost", None],
)  # fmt: skip
def test_a_local_service_has_the_names_of_loopback(host: str | None) -> None:
    """With a port and without, in any case; a client that sends no name is no browser."""
    hosts = AllowedHosts((), "127.0.0.1")

    hosts.check(host)
    hosts.check(host)


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "localhost.evil.example",
     "10.0.0.1", "", ":80", "[::1", "127.0.0.1:port", "localhost@evil.example", "\udcff"],
)  # fmt: skip
def test_a_local_service_has_no_other_name(host: str) -> None:
    """A page whose own name leads here is refused."""
    with pytest.raises(HostRefused):
        AllowedHosts((), "127.0.0.1").check(host)


def test_configured_names_are_all_there_are() -> None:
    """Whatever the address it listens on."""
    hosts = AllowedHosts(("llm.example", "10.0.0.1"), "0.0.0.0")

    hosts.check("LLM.example.:443")
    hosts.check("10.0.0.1")
    with pytest.raises(HostRefused):
        hosts.check("localhost")


def test_an_open_service_has_any_name() -> None:
    """What stands in front of it decides."""
    AllowedHosts((), "0.0.0.0").check("llm.example")


async def test_a_rebound_name_reaches_nothing(
    start_service: StartService, http: aiohttp.ClientSession
) -> None:
    """Neither by reading nor by asking, though Origin and Host agree."""
    service = await start_service()
    evil = {"Host": "evil.example", "Origin": "http://evil.example"}
    async with http.get(f"{service.url}/v1/runs", headers=evil) as response:
        assert (response.status, (await response.json())["code"]) == (421, "host_refused")
    async with http.post(
        f"{service.url}/v1/generate", json={"prompt": "x"}, headers=evil
    ) as response:
        assert (response.status, (await response.json())["field"]) == (421, "Host")
