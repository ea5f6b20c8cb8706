"""`llm-stream keys`: what it stores, lists and tries, and that it never shows a key."""

import json
import os
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from click.testing import CliRunner, Result

from llm_stream.cli import main

KEY = "canary-0123456789"
NO_KEYS = dict.fromkeys(
    ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "LLM_GEMINI_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY")
)


class Provider(BaseHTTPRequestHandler):
    """Lists models to whoever has the key."""

    seen: list[tuple[str, str | None]]

    def do_GET(self) -> None:
        """Answer, or refuse and repeat the key as some providers do."""
        sent = self.headers.get("Authorization") or self.headers.get("x-api-key")
        self.seen.append((self.path, sent))
        good = sent is not None and KEY in sent
        body = json.dumps({"data": []} if good else {"error": {"message": f"Bad key {sent}"}})
        self.send_response(200 if good else 401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its signature
        """Say nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    """A provider in a thread."""
    Provider.seen = []
    server = HTTPServer(("127.0.0.1", 0), Provider)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def keys(*arguments: str, text: str | None = None, **env: str) -> Result:
    """Run `llm-stream keys`; no output ever holds the key."""
    result = CliRunner().invoke(main, ["keys", *arguments], input=text, env={**NO_KEYS, **env})
    assert KEY not in result.output
    return result


def test_a_key_is_stored_where_llm_keeps_them() -> None:
    """From standard input, without being shown, and listed with its origin."""
    result = keys("set", "openai", text=f"{KEY}\n")

    store = Path(os.environ["LLM_USER_PATH"]) / "keys.json"
    assert result.exit_code == 0
    assert json.loads(store.read_text()) == {"openai": KEY}
    assert store.stat().st_mode & 0o077 == 0
    assert "store:openai" in keys("list").output


@pytest.mark.parametrize(
    ("arguments", "text", "said"),
    [
        (("set", "opnai"), f"{KEY}\n", "there is no provider 'opnai'; there are anthropic, gemini"),
        (("set", "openai"), "\n", "not stored: a key is one line of printable ASCII"),
        (("check", "opnai"), None, "there is no provider 'opnai'"),
    ],
)
def test_what_cannot_be_done_is_refused(
    arguments: tuple[str, ...], text: str | None, said: str
) -> None:
    """A misspelt provider and an empty key change nothing."""
    result = keys(*arguments, text=text)

    assert result.exit_code == 1
    assert result.output.startswith(said)


def test_a_store_that_is_no_json_is_told() -> None:
    """Neither listing nor storing passes over it."""
    store = Path(os.environ["LLM_USER_PATH"]) / "keys.json"
    store.parent.mkdir(parents=True)
    store.write_text("{")

    assert "could not be read" in keys("list").output
    assert keys("set", "openai", text=f"{KEY}\n").exit_code == 1


def test_the_list_says_where_each_key_comes_from() -> None:
    """The variable, what is missing, and who answers for a provider that is gone."""
    output = keys("list", GEMINI_API_KEY=KEY).output

    rows = {line.split()[0]: line for line in output.splitlines()}
    assert "environment:GEMINI_API_KEY" in rows["gemini"]
    assert "missing: ANTHROPIC_API_KEY" in rows["anthropic"]
    assert "gone: gemini/gemini-flash-latest answers" in rows["palm"]


@pytest.mark.parametrize(
    ("provider", "path"), [("openai", "/models"), ("anthropic", "/v1/models?limit=1")]
)
def test_a_key_is_tried_at_its_provider(provider: str, path: str, url: str) -> None:
    """A good key is fine; one is asked for nothing but the list of models."""
    env = {
        f"LLM_STREAM__PROVIDERS__{provider.upper()}__BASE_URL": url,
        f"{provider.upper()}_API_KEY": KEY,
    }

    result = keys("check", provider, **env)

    assert (result.exit_code, result.output) == (
        0, f"ok     {provider}: environment:{provider.upper()}_API_KEY\n",
    )  # fmt: skip
    assert [seen[0] for seen in Provider.seen] == [path]


def test_a_bad_key_is_told(url: str) -> None:
    """The provider's words come through, the key in them does not."""
    env = {"LLM_STREAM__PROVIDERS__OPENAI__BASE_URL": url, "OPENAI_API_KEY": "wrong-0123456789"}

    result = keys("check", **env)

    assert result.exit_code == 1
    assert result.output.startswith("wrong  openai: the provider answered 401: Bad key")
    assert "wrong-0123456789" not in result.output


def test_a_provider_that_is_asked_for_needs_its_key() -> None:
    """By name a missing key is a fault; among all, those without one are passed over."""
    assert keys("check", "openai").exit_code == 1
    assert (keys("check").exit_code, keys("check").output) == (0, "")


def test_a_provider_without_keys_is_tried_by_name_only(url: str) -> None:
    """A local server need not run for keys to be fine."""
    ollama = {"base_url": url, "kind": "openai"}
    env = {"LLM_STREAM__PROVIDERS__OLLAMA": json.dumps(ollama)}

    assert (keys("check", **env).output, Provider.seen) == ("", [])
    assert keys("check", "ollama", **env).output.startswith("wrong  ollama: the provider answered")
