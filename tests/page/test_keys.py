"""A client key in the wires of the page: on every request, and as a ticket on every socket."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from playwright.async_api import Browser, Page

from ..conftest import StartService
from .conftest import in_one_loop

pytestmark = pytest.mark.browser

PRELUDE = """
    const { Client } = await import("/static/client.js");
    const client = new Client(location.origin, { key });
    const told = [];
    client.addEventListener("unauthenticated", ({ detail }) => told.push(detail.code));
    const reaches = (name) => new Promise((resolve) => {
      const look = () => client.socket.link.state.name === name && resolve();
      client.addEventListener("link", look);
      look();
    });
"""


@in_one_loop
async def bare(
    browser: Browser, start_service: StartService, tmp_path: Path, key: str
) -> AsyncIterator[Page]:
    """A tab on a document of a service that asks for keys: nothing of the page runs in it."""
    service = await start_service(auth={"clients_file": str(tmp_path / "clients.toml")})
    context = await browser.new_context()
    page = await context.new_page()
    await page.goto(f"{service.url}/docs")
    yield page
    await context.close()


async def test_the_socket_is_opened_by_a_ticket_each_time(bare: Page, key: str) -> None:
    """A lost connection comes back with a ticket of its own, and the stream on it goes on."""
    tickets: list[str] = []
    bare.on("request", lambda request: tickets.append(request.url) if "ticket" in request.url
            else None)  # fmt: skip
    program = f"""async (key) => {{
      {PRELUDE}
      client.socket.open();
      await reaches("open");
      client.socket.link.drop(1);
      await reaches("dropped");
      await reaches("open");
      const types = [];
      await new Promise((ended) => client.socket.start("generate", {{ prompt: "Hi" }}, {{
        opened() {{}}, severed() {{}}, resumed() {{}}, gap() {{}}, ended, refused: ended,
        receive: (raw, event) => types.push(event.type),
      }}));
      return [types.at(-1), told];
    }}"""

    assert await bare.evaluate(program, key) == ["run.completed", []]
    assert len(tickets) == 2


async def test_a_key_that_does_not_hold_is_told_of(bare: Page, key: str) -> None:
    """By one event, from a request as from the socket; another key opens the socket again."""
    program = f"""async (good) => {{
      const key = "";
      {PRELUDE}
      await client.http.call("GET", "/v1/models").catch(() => null);
      const asked = told.splice(0);
      client.socket.open();
      await reaches("refused");
      const closed = told.splice(0);
      client.key = "lls_wrong";
      await reaches("connecting");
      await reaches("refused");
      const refused = told.splice(0);
      client.key = good;
      await reaches("open");
      return [asked, closed, refused, told, (await client.http.call("GET", "/v1/models")).object];
    }}"""
    one = ["unauthenticated"]

    assert await bare.evaluate(program, key) == [one, one, one, [], "list"]


async def test_sse_shows_the_key(bare: Page, key: str) -> None:
    """A run is followed over SSE with the key, and refused without it."""
    program = f"""async (key) => {{
      {PRELUDE}
      const {{ id }} = await client.http.call("POST", "/v1/generate", {{ prompt: "Hi" }});
      const text = ({{ text }}) => text;
      const follow = () => client.follow(id).result().then(text, ({{ code }}) => code);
      const ends = [await follow()];
      client.key = "";
      return [...ends, await follow(), ...told];
    }}"""

    assert await bare.evaluate(program, key) == [
        "Hello, world.", "unauthenticated", "unauthenticated",
    ]  # fmt: skip


async def test_a_page_of_another_origin_reads_on_both_wires(
    browser: Browser,
    start_service: StartService,
    http: aiohttp.ClientSession,
    tmp_path: Path,
    key: str,
) -> None:
    """It imports the client from the service; by tickets that its own server gets, or by a key."""

    async def ticket(_request: web.Request) -> web.Response:
        shown = {"Authorization": f"Bearer {key}"}
        async with http.post(f"{service.url}/v1/tickets", headers=shown) as response:
            return web.json_response(await response.json())

    async def page_(_request: web.Request) -> web.Response:
        return web.Response(text="<p>shop</p>", content_type="text/html")

    app = web.Application()
    app.router.add_get("/", page_)
    app.router.add_post("/my/ticket", ticket)
    async with TestServer(app) as shop:
        origin = str(shop.make_url("")).rstrip("/")
        service = await start_service(
            auth={"clients_file": str(tmp_path / "clients.toml")},
            server={"allowed_origins": (origin,)},
        )
        context = await browser.new_context()
        page = await context.new_page()
        await page.goto(origin)
        program = """async ([url, key]) => {
          const { Client } = await import(`${url}/static/client.js`);
          const ticket = async () => (await fetch("/my/ticket", { method: "POST" })).json();
          const told = [];
          for (const options of [{ wire: "websocket", ticket }, { key }]) {
            const client = new Client(url, options);
            const { text, cache } = await client.generate({ prompt: "Hi" }).result();
            told.push([text, cache]);
          }
          return told;
        }"""
        told = await page.evaluate(program, [service.url, key])
        await context.close()

    assert told == [["Hello, world.", "miss"], ["Hello, world.", "hit"]]
