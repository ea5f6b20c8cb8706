"""POST /v1/chat/completions: a run of generate, told as OpenAI's SDKs want to hear it."""

from functools import partial

from aiohttp import web

from llm_stream.recipes.spec import RunSpec
from llm_stream.web.auth import principal_of
from llm_stream.web.bodies import read_object
from llm_stream.web.intake import Caller
from llm_stream.web.keyed import claim_for, key_of, launch_once
from llm_stream.web.negotiation import read_body
from llm_stream.web.openaidoor.answering import headers_of, streamed, whole
from llm_stream.web.openaidoor.chatasking import spec_of_chat
from llm_stream.web.openaidoor.chatreplies import ChatStream, completion
from llm_stream.web.openaidoor.reading import checked
from llm_stream.web.openaidoor.shapes import ChatBody
from llm_stream.web.service import REQUEST_ID, SERVICE

routes = web.RouteTableDef()


@routes.post("/v1/chat/completions")
async def complete(request: web.Request) -> web.StreamResponse:
    """Answer a conversation, whole or in chunks."""
    service = request.app[SERVICE]
    raw = await read_body(request)
    body = checked(ChatBody, read_object(raw))
    principal, once = principal_of(request), key_of(request) is None
    claim = claim_for(request, principal.owner)
    caller = Caller(request[REQUEST_ID], claim, principal, waits=once and not body.stream)

    def make() -> RunSpec:
        return spec_of_chat(service, body, caller, once=once)

    name = f"{request.path} {once}"
    launched = await launch_once(
        request, raw, caller, lambda: service.specs.spec(name, raw, caller, make)
    )
    run, headers = launched.run, headers_of(launched, caller)
    with run.subscribe() as subscription:
        if body.stream:
            asked = body.stream_options
            told = ChatStream(run, include_usage=bool(asked and asked.include_usage))
            return await streamed(request, run, subscription, headers, told.framing)
        return await whole(run, subscription, headers, partial(completion, run.info))
