"""POST /v1/chat/completions: a run of generate, told as OpenAI's SDKs want to hear it."""

from functools import partial

from aiohttp import web

from llm_stream.web.auth import principal_of
from llm_stream.web.bodies import read_object
from llm_stream.web.intake import Caller, new_claim
from llm_stream.web.negotiation import read_body
from llm_stream.web.openaidoor.answering import headers_of, streamed, whole
from llm_stream.web.openaidoor.chatasking import spec_of_chat
from llm_stream.web.openaidoor.chatreplies import ChatStream, completion
from llm_stream.web.openaidoor.reading import checked
from llm_stream.web.openaidoor.shapes import ChatBody
from llm_stream.web.service import REQUEST_ID, SERVICE
from llm_stream.web.starting import launch

routes = web.RouteTableDef()


@routes.post("/v1/chat/completions")
async def complete(request: web.Request) -> web.StreamResponse:
    """Answer a conversation, whole or in chunks."""
    service = request.app[SERVICE]
    raw = await read_body(request)
    body = checked(ChatBody, read_object(raw))
    caller = Caller(request[REQUEST_ID], new_claim(), principal_of(request), waits=not body.stream)
    spec = service.specs.spec(
        request.path, raw, caller, lambda: spec_of_chat(service, body, caller)
    )
    launched = await launch(service, spec, caller)
    run, headers = launched.run, headers_of(launched, caller)
    with run.subscribe() as subscription:
        if body.stream:
            asked = body.stream_options
            told = ChatStream(run, include_usage=bool(asked and asked.include_usage))
            return await streamed(request, run, subscription, headers, told.framing)
        return await whole(run, subscription, headers, partial(completion, run.info))
