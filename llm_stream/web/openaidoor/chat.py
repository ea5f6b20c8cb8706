"""POST /v1/chat/completions: a run of generate, told as OpenAI's SDKs want to hear it."""

from aiohttp import web

from llm_stream.web import sse
from llm_stream.web.auth import principal_of
from llm_stream.web.bodies import read_object
from llm_stream.web.intake import Caller, new_claim
from llm_stream.web.negotiation import json_response, read_body
from llm_stream.web.openaidoor.answering import folded, headers_of, refusal, refused
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
            problem = await refusal(run, service.settings.server.heartbeat_seconds)
            if problem is not None:
                return refused(problem, headers)
            asked = body.stream_options
            told = ChatStream(run, include_usage=bool(asked and asked.include_usage))
            return await sse.stream(request, subscription, headers, told.framing)
        fold = await folded(run, subscription)
    if fold.terminal and fold.terminal["type"] == "run.failed":
        return refused(fold.terminal["error"], headers)
    return json_response(completion(run.info, fold), headers=headers)
