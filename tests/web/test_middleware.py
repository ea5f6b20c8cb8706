"""Around every request: ids, origins, headers."""

from pathlib import Path
from typing import Any

import aiohttp
import pytest

from llm_stream.testing.service import RunningService

from ..conftest import StartService

SHOP = "http://shop.example"


@pytest.mark.parametrize("path", ["/livez", "/v1/models", "/nothing", "/docs"])
async def test_every_response_has_an_id_and_security_headers(
    service: RunningService, http: aiohttp.ClientSession, path: Any
) -> None:
    """Good or bad, page or API: each response names its request and binds the browser."""
    async with http.get(f"{service.url}{path}") as response:
        headers = response.headers

    assert headers["X-Request-Id"].startswith("req_")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")


@pytest.mark.parametrize(
    ("origin", "status"),
    [("http://shop.example", 200), ("https://shop.example", 403), ("null", 403),
     ("http://evil.example", 403), ("http://\udcff.example", 403)],
)  # fmt: skip
async def test_origins_are_allowed_by_name(
    start_service: StartService, http: aiohttp.ClientSession, origin: Any, status: Any
) -> None:
    """Only listed origins, and the service's own, may change anything."""
    service = await start_service(server={"allowed_origins": ("http://shop.example",)})
    async with http.post(
        f"{service.url}/v1/generate", json={"prompt": "x"}, headers={"Origin": origin}
    ) as response:
        assert response.status == status


async def test_reading_is_not_bound_to_an_origin(
    service: RunningService, http: aiohttp.ClientSession
) -> None:
    """A GET changes nothing, and without CORS headers a foreign page cannot read it anyway."""
    async with http.get(
        f"{service.url}/v1/models", headers={"Origin": "http://evil.example"}
    ) as response:
        assert response.status == 200
        assert "Access-Control-Allow-Origin" not in response.headers


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1/models", 200), ("GET", "/v1/runs/run_0", 404), ("POST", "/v1/generate", 415)],
)
async def test_a_listed_page_reads_what_it_is_answered(
    start_service: StartService, http: aiohttp.ClientSession, method: str, path: str, status: int
) -> None:
    """Errors too, and the headers that a client goes by; another page is told nothing."""
    service = await start_service(server={"allowed_origins": (SHOP,)})
    url = f"{service.url}{path}"
    async with (
        http.request(method, url, headers={"Origin": SHOP}) as response,
        http.get(url, headers={"Origin": "http://evil.example"}) as other,
    ):
        assert response.status == status
        assert response.headers["Access-Control-Allow-Origin"] == SHOP
        assert "X-Run-Claim" in response.headers["Access-Control-Expose-Headers"]
        assert "Origin" in response.headers["Vary"]
        assert "Access-Control-Allow-Credentials" not in response.headers
        assert "Access-Control-Allow-Origin" not in other.headers


async def test_a_listed_page_may_ask_before_it_asks(
    start_service: StartService, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    """A preflight shows no key; to a page that is not listed it is a wrong method."""
    auth = {"required": True, "clients_file": str(tmp_path / "clients.toml")}
    service = await start_service(server={"allowed_origins": (SHOP,)}, auth=auth)
    url, asked = f"{service.url}/v1/generate", {"Access-Control-Request-Method": "POST"}
    async with (
        http.options(url, headers={**asked, "Origin": SHOP}) as response,
        http.options(url, headers={**asked, "Origin": "http://evil.example"}) as other,
        http.options(url, headers={"Origin": SHOP}) as plain,
    ):
        assert response.status == 204
        assert response.headers["Access-Control-Allow-Origin"] == SHOP
        assert "Authorization" in response.headers["Access-Control-Allow-Headers"]
        assert "Access-Control-Allow-Origin" not in other.headers
        assert [other.status >= 400, plain.status >= 400] == [True, True]


async def test_a_wrong_method_lists_the_right_ones(
    service: RunningService, http: aiohttp.ClientSession
) -> None:
    """405 comes with Allow."""
    async with http.delete(f"{service.url}/v1/generate") as response:
        assert response.status == 405
        assert response.headers["Allow"] == "POST"
        assert (await response.json())["code"] == "method_not_allowed"
