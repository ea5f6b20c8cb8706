"""Around every request: ids, origins, headers."""

from typing import Any

import aiohttp
import pytest

from llm_stream.testing.service import RunningService

from ..conftest import StartService


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


async def test_a_wrong_method_lists_the_right_ones(
    service: RunningService, http: aiohttp.ClientSession
) -> None:
    """405 comes with Allow."""
    async with http.delete(f"{service.url}/v1/generate") as response:
        assert response.status == 405
        assert response.headers["Allow"] == "POST"
        assert (await response.json())["code"] == "method_not_allowed"
