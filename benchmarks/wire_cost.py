"""What one chunk and one prompt of a provider cost: our wires beside llm's stock classes.

    python benchmarks/wire_cost.py [--chunks 2000] [--prompts 60] [--repeat 5] [--stock]

The provider is a child process that answers every request with the same prepared bytes, so that
`process_time` here is the client's alone. A chunk's cost is the difference between a long answer
and one of a single chunk: "in bursts" as fast as they can be read, 4 KiB a block, "one by one" a
millisecond apart, where most of it is the loop's and the kernel's. A prompt's cost is that of an
answer of five chunks. `--stock` measures the classes of llm and its plugins as well, which needs
llm-anthropic and llm-gemini.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import platform
import socket
import statistics
import sys
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from multiprocessing.connection import Connection
from typing import Any

import aiohttp
import llm
from llm.parts import StreamEvent

from llm_stream.config import ProviderSection
from llm_stream.models.adapter import ModelAdapter
from llm_stream.models.chunks import Finish, Message, ModelCall
from llm_stream.models.keys import Keyring
from llm_stream.models.syncbridge import SyncThreads
from llm_stream.models.wires.providers import Providers

WORD = " lorem"
PACED = 500
"""Chunks of an answer that comes one by one."""
CALL = ModelCall((Message("user", "Hi"),))
KINDS = ("openai", "openai_responses", "anthropic", "gemini")
PATHS = {
    "/v1/chat/completions": "openai",
    "/v1/responses": "openai_responses",
    "/v1/messages": "anthropic",
}


def chat(text: str | None, finish: str | None = None, **more: Any) -> Any:
    """A chunk of a chat completion, with all that OpenAI sends."""
    delta = {} if text is None else {"content": text}
    return {
        "id": "chatcmpl-AbCdEfGhIjKlMnOpQrStUvWxYz012",
        "object": "chat.completion.chunk",
        "created": 1764028800,
        "model": "gpt-4o-2024-08-06",
        "service_tier": "default",
        "system_fingerprint": "fp_0123456789",
        "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}],
        "usage": None,
        **more,
    }


def gemini(text: str, **candidate: Any) -> Any:
    """A piece of a Gemini answer."""
    content = {"role": "model", "parts": [{"text": text}]}
    counts = {"promptTokenCount": 9, "candidatesTokenCount": 4, "totalTokenCount": 13}
    return {
        "candidates": [{"content": content, "index": 0, **candidate}],
        "usageMetadata": counts,
        "modelVersion": "gemini-x",
        "responseId": "r_1",
    }


def events(kind: str, chunks: int) -> list[Any]:
    """An answer of so many chunks."""
    match kind:
        case "openai":
            counts = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
            end = {**chat(None), "choices": [], "usage": counts}
            return [*[chat(WORD)] * chunks, chat(None, "stop"), end]
        case "openai_responses":
            whole = {
                "id": "resp_1", "object": "response", "created_at": 1.0, "model": "gpt-x",
                "status": "completed", "error": None, "incomplete_details": None,
                "instructions": None, "metadata": {}, "parallel_tool_calls": True,
                "temperature": 1.0, "tool_choice": "auto", "tools": [], "top_p": 1.0,
                "output": [
                    {
                        "id": "msg_1", "type": "message", "role": "assistant",
                        "status": "completed",
                        "content": [
                            {"type": "output_text", "text": WORD * chunks, "annotations": []}
                        ],
                    }
                ],
                "usage": {
                    "input_tokens": 9, "output_tokens": 4, "total_tokens": 13,
                    "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
                    "output_tokens_details": {"reasoning_tokens": 0},
                },
            }  # fmt: skip
            delta = {
                "type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0,
                "content_index": 0, "delta": WORD, "sequence_number": 7, "logprobs": [],
            }  # fmt: skip
            return [
                *[delta] * chunks,
                {"type": "response.completed", "response": whole, "sequence_number": 9},
            ]
        case "anthropic":
            message: Any = {
                "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x",
                "content": [], "stop_reason": None, "stop_sequence": None,
                "usage": {"input_tokens": 9, "output_tokens": 1},
            }  # fmt: skip
            delta = {
                "type": "content_block_delta", "index": 0,
                "delta": {"type": "text_delta", "text": WORD},
            }  # fmt: skip
            block = {"type": "text", "text": ""}
            stop = {"stop_reason": "end_turn", "stop_sequence": None}
            return [
                {"type": "message_start", "message": message},
                {"type": "content_block_start", "index": 0, "content_block": block},
                *[delta] * chunks,
                {"type": "content_block_stop", "index": 0},
                {"type": "message_delta", "delta": stop, "usage": {"output_tokens": 4}},
                {"type": "message_stop"},
            ]
    return [*[gemini(WORD)] * chunks, gemini("", finishReason="STOP")]


def body(kind: str, chunks: int, *, sse: bool) -> bytes:
    """The answer as bytes; Gemini's stock class reads a JSON array."""
    said = events(kind, chunks)
    if not sse:
        return json.dumps(said, indent=1).encode()
    named = kind in {"openai_responses", "anthropic"}
    return b"".join(
        (f"event: {e['type']}\n" if named else "").encode()
        + b"data: " + json.dumps(e).encode() + b"\n\n"
        for e in said
    ) + (b"data: [DONE]\n\n" if kind == "openai" else b"")  # fmt: skip


def pieces(answer: bytes, *, paced: bool) -> list[bytes]:
    """The blocks of an answer: its events if it is paced, else 4 KiB each."""
    if not paced:
        return [answer[start : start + 4096] for start in range(0, len(answer), 4096)]
    end = b"\n\n" if b"data: " in answer else b"\n },"
    *whole, rest = answer.split(end)
    return [*[event + end for event in whole], *([rest] if rest else [])]


def serve(pipe: Connection) -> None:
    """Child: answers any request; the last word of its prompt says with how many chunks."""
    bodies: dict[Any, bytes] = {}

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raw = writer.get_extra_info("socket")
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            try:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
            except (asyncio.IncompleteReadError, ConnectionError):
                writer.close()
                return
            length = int(head.lower().split("content-length: ")[1].split("\r\n")[0])
            asked = await reader.readexactly(length)
            target = head.split(" ", 2)[1]
            kind, sse = (
                PATHS.get(target, "gemini"),
                "streamGenerate" not in target or "alt=sse" in target,
            )
            key = (kind, int(asked.partition(b"chunks=")[2].partition(b".")[0]), sse)
            if key not in bodies:
                bodies[key] = body(kind, key[1], sse=sse)
            kind_of = "text/event-stream" if sse else "application/json"
            answer = bodies[key]
            writer.write(
                f"HTTP/1.1 200 OK\r\nContent-Type: {kind_of}\r\n"
                f"Transfer-Encoding: chunked\r\n\r\n".encode()
            )
            paced = b"paced" in asked
            for block in pieces(answer, paced=paced):
                writer.write(b"%x\r\n%s\r\n" % (len(block), block))
                await writer.drain()
                if paced:
                    await asyncio.sleep(0.001)
            writer.write(b"0\r\n\r\n")

    async def run() -> None:
        server = await asyncio.start_server(connection, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


def ours(kind: str, url: str) -> tuple[Any, Any]:
    """A model on our wire, and its pool."""
    base = url + ("/v1" if kind.startswith("openai") else "")
    section = ProviderSection(kind=kind, base_url=base)  # type: ignore[arg-type]
    providers = Providers({"p": section}, Keyring({}, None))
    return providers.on_demand("p/model-x"), providers


def stock(kind: str, url: str) -> Any:
    """The same in the classes of llm and its plugins."""
    if kind == "anthropic":
        from llm_anthropic import AsyncClaudeMessages  # noqa: PLC0415

        return AsyncClaudeMessages("claude-x", base_url=url)
    if kind == "gemini":
        import llm_gemini  # noqa: PLC0415

        real = llm_gemini.httpx.AsyncClient

        class Redirected(real):  # type: ignore[misc,valid-type]
            """The plugin's address is built in."""

            def stream(self, method: str, address: str, **more: Any) -> Any:
                here = url + address.removeprefix("https://generativelanguage.googleapis.com")
                return super().stream(method, here, **more)

        llm_gemini.httpx.AsyncClient = Redirected
        return llm_gemini.AsyncGeminiPro("gemini-x")
    from llm.default_plugins.openai_models import AsyncChat, AsyncResponses  # noqa: PLC0415

    return {"openai": AsyncChat, "openai_responses": AsyncResponses}[kind](
        "gpt-x", api_base=f"{url}/v1"
    )


class Plain(llm.AsyncModel):
    """What cannot be saved: the same bytes read by aiohttp, and a word given on for each event."""

    can_stream = True

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.model_id = "plain"
        self._url = f"{url}/v1/chat/completions"
        self._session = session

    async def execute(
        self,
        prompt: llm.Prompt,
        stream: bool,  # noqa: FBT001 - llm's signature
        response: llm.AsyncResponse,
        conversation: llm.AsyncConversation | None = None,
    ) -> AsyncGenerator[StreamEvent, None]:
        """Count events without looking into them."""
        left = int(str(prompt.prompt).partition("=")[2].partition(".")[0])
        async with self._session.post(self._url, json={"prompt": prompt.prompt}) as reply:
            async for block in reply.content.iter_any():
                for _ in range(min(left, block.count(b"data: "))):
                    left -= 1
                    yield StreamEvent(type="text", chunk=WORD)


async def cost(adapter: ModelAdapter, chunks: int, times: int, pace: str = "") -> float:
    """CPU seconds of an answer of so many chunks."""
    call = ModelCall((Message("user", f"chunks={chunks}. {pace}"),))
    began = time.process_time()
    for _ in range(times):
        text = 0
        async with aclosing(adapter.stream(call, None)) as answer:
            async for said in answer:
                text += sum(isinstance(chunk, str) for chunk in said)
                chunk = said[-1]
        if text != chunks or not isinstance(chunk, Finish):
            sys.exit(f"{adapter.id}: {text} chunks of {chunks}")
    return (time.process_time() - began) / times


async def measure(make: Callable[[], Any], options: argparse.Namespace) -> list[float]:
    """[us a chunk in bursts, one by one, ms a prompt], medians."""
    adapter = ModelAdapter(make(), SyncThreads(1))
    await cost(adapter, 1, 3)
    bursts, alone, a_prompt = [], [], []
    for _ in range(options.repeat):
        long = await cost(adapter, options.chunks, 3)
        short = await cost(adapter, 1, 3)
        bursts.append((long - short) / (options.chunks - 1) * 1e6)
        slow = await cost(adapter, PACED, 1, "paced")
        alone.append((slow - short) / (PACED - 1) * 1e6)
        a_prompt.append(await cost(adapter, 5, options.prompts) * 1e3)
    return [statistics.median(each) for each in (bursts, alone, a_prompt)]


def show(kind: str, name: str, figures: list[float]) -> None:
    """A line of the table."""
    print(f"{kind:18}{name:10}{figures[0]:20.1f}{figures[1]:14.1f}{figures[2]:14.2f}")


async def main(options: argparse.Namespace, url: str) -> None:
    """Measure every wire, and the stock class beside it."""
    print(f"{platform.platform()}, Python {platform.python_version()}")
    print(f"{'CPU':28}{'us a chunk, bursts':>20}{'one by one':>14}{'ms a prompt':>14}")
    async with aiohttp.ClientSession() as session:
        plain = Plain(url, session)
        show("", "aiohttp", await measure(lambda: plain, options))
    for kind in KINDS:
        model, providers = ours(kind, url)
        rows = [("our wire", lambda model=model: model)]
        if options.stock:
            rows.append(("stock", lambda kind=kind: stock(kind, url)))
        for name, make in rows:
            show(kind, name, await measure(make, options))
        await providers.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, default=2000)
    parser.add_argument("--prompts", type=int, default=60)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--stock", action="store_true")
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "LLM_GEMINI_KEY"):
        os.environ[name] = "none"
    here, there = multiprocessing.Pipe()
    child = multiprocessing.get_context("spawn").Process(target=serve, args=(there,), daemon=True)
    child.start()
    try:
        asyncio.run(main(parser.parse_args(), f"http://127.0.0.1:{here.recv()}"))
    finally:
        child.kill()
