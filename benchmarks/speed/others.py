"""What the service is compared with, as small as it can be: a byte proxy, and plain use of llm.

python -m benchmarks.speed.others proxy|parse|wire|llm --port 9001 --upstream 9000
"""

import argparse
import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Final

import aiohttp
import llm
import orjson
import uvloop
from aiohttp import web
from llm.default_plugins.openai_models import AsyncChat

from llm_stream.config import ProviderSection
from llm_stream.models.joining import Bundle
from llm_stream.models.keys import Keyring
from llm_stream.models.wires.model import WireModel
from llm_stream.models.wires.providers import Providers
from llm_stream.web.process import list_no_generators, settle_memory

UPSTREAM: Final = web.AppKey("upstream", str)
PROVIDERS: Final = web.AppKey("providers", Providers)
HTTP: Final = web.AppKey("http", aiohttp.ClientSession)
DONE: Final = b"data: [DONE]\n\n"


async def started(request: web.Request) -> web.StreamResponse:
    """The head of an event stream."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    return response


@asynccontextmanager
async def asked(request: web.Request) -> AsyncIterator[aiohttp.ClientResponse]:
    """The upstream's answer to the same request."""
    app = request.app
    headers = {"Content-Type": "application/json"}
    url = f"{app[UPSTREAM]}/v1/chat/completions"
    async with app[HTTP].post(url, data=await request.read(), headers=headers) as answer:
        yield answer


async def proxy(request: web.Request) -> web.StreamResponse:
    """Bytes passed on; it knows nothing of them."""
    async with asked(request) as answer:
        if answer.content_type == "application/json":
            return web.Response(body=await answer.read(), content_type="application/json")
        response = await started(request)
        async for data in answer.content.iter_any():
            await response.write(data)
    await response.write_eof()
    return response


async def parse(request: web.Request) -> web.StreamResponse:
    """Each token parsed and said again, one write a read."""
    async with asked(request) as answer:
        if answer.content_type == "application/json":
            return web.Response(body=await answer.read(), content_type="application/json")
        response = await started(request)
        rest = b""
        async for data in answer.content.iter_any():
            *events, rest = (rest + data).split(b"\n\n")
            said = []
            for event in events:
                if event == b"data: [DONE]":
                    said.append(DONE)
                    continue
                for choice in orjson.loads(event[6:])["choices"]:
                    if text := choice["delta"].get("content"):
                        told = {"choices": [{"index": 0, "delta": {"content": text}}]}
                        said.append(b"data: %b\n\n" % orjson.dumps(told))
            if said:
                await response.write(b"".join(said))
    await response.write_eof()
    return response


async def wire(request: web.Request) -> web.StreamResponse:
    """One of our own models, asked as llm asks it, behind a handler: nothing of a run."""
    body = orjson.loads(await request.read())
    model = request.app[PROVIDERS].on_demand(f"fake/{body['model']}")
    if not isinstance(model, WireModel):
        raise web.HTTPNotFound
    # As the service does, which could not let others join or resume a whole answer.
    answer = model.prompt(body["messages"][-1]["content"], stream=True)
    if not body.get("stream"):
        message = {"role": "assistant", "content": await answer.text()}
        told = orjson.dumps({"choices": [{"index": 0, "message": message}]})
        return web.Response(body=told, content_type="application/json")
    response = await started(request)
    async with aclosing(answer.astream_events()) as events:  # type: ignore[no-untyped-call]
        async for event in events:
            pieces = event.take() if isinstance(event, Bundle) else [event.chunk]
            said = [{"choices": [{"index": 0, "delta": {"content": text}}]} for text in pieces]
            await response.write(b"".join([b"data: %b\n\n" % orjson.dumps(each) for each in said]))
    await response.write(DONE)
    await response.write_eof()
    return response


async def naive(request: web.Request) -> web.StreamResponse:
    """A model of llm's, as its documentation shows it, behind a handler."""
    body = await request.json()
    model = AsyncChat(  # type: ignore[no-untyped-call]
        model_id=body["model"], model_name=body["model"], key="none",
        api_base=f"{request.app[UPSTREAM]}/v1",
    )  # fmt: skip
    answer = model.prompt(body["messages"][-1]["content"], stream=bool(body.get("stream")))
    if not body.get("stream"):
        message = {"role": "assistant", "content": await answer.text()}
        return web.json_response({"choices": [{"index": 0, "message": message}]})
    response = await started(request)
    async for text in answer:
        if text:
            said = json.dumps({"choices": [{"index": 0, "delta": {"content": text}}]})
            await response.write(f"data: {said}\n\n".encode())
    await response.write(DONE)
    await response.write_eof()
    return response


HANDLERS: Final = {"proxy": proxy, "parse": parse, "wire": wire, "llm": naive}


async def serve(kind: str, port: int, upstream: int) -> None:
    """Serve until the process is ended."""
    app = web.Application()
    app[UPSTREAM] = f"http://127.0.0.1:{upstream}"
    address = ProviderSection(kind="openai", base_url=f"{app[UPSTREAM]}/v1", api_key_env=())
    app[PROVIDERS] = Providers({"fake": address}, Keyring({}, None))
    app[HTTP] = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
    app.router.add_post("/v1/chat/completions", HANDLERS[kind])
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=4096).start()
    if kind == "wire":  # as the service, for the same model
        list_no_generators()
        settle_memory()
    await asyncio.Event().wait()


def main() -> None:
    """Serve."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=HANDLERS)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--upstream", type=int, required=True)
    arguments = parser.parse_args()
    llm.get_models()  # its plugins are not what is measured
    uvloop.run(serve(arguments.kind, arguments.port, arguments.upstream))


if __name__ == "__main__":
    main()
