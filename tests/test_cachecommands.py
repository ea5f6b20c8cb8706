"""`llm-stream cache`: what it shows of a running service, what it drops, what it refuses."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any
from urllib.request import Request, urlopen

import pytest
from click.testing import Result

from .serving import serving
from .test_cli import ECHO, PROGRAM, invoke

pytestmark = pytest.mark.slow


class Service:
    """A service in another process, and the commands that speak to it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, prompt: str, **body: Any) -> str:
        """Have an answer computed or given again; its key."""
        return str(self._post("/v1/generate", {"prompt": prompt} | body)["cache"]["key"])

    def _post(self, path: str, body: Any) -> Any:
        headers = {"Content-Type": "application/json"}
        request = Request(self.url + path, json.dumps(body).encode(), headers)
        with urlopen(request) as reply:
            return json.load(reply)

    def cache(self, *arguments: str) -> Result:
        """Run `llm-stream cache` against it."""
        return invoke("cache", *arguments, "--url", self.url)

    def titles(self, *arguments: str) -> list[str]:
        """Titles of the entries that `ls` lists."""
        page = json.loads(self.cache("ls", "--json", *arguments).stdout)
        return [entry["title"] for entry in page["entries"]]

    def empty(self) -> None:
        """Drop all entries."""
        self._post("/v1/cache/invalidate", {"all": True})


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for all tests of this file."""
    with serving(PROGRAM, cwd=tmp_path_factory.mktemp("served"), env=ECHO) as served:
        yield Service(served.url)


@pytest.fixture
def service(started: Service) -> Service:
    """That service, its cache empty."""
    started.empty()
    return started


class Answerer(HTTPServer):
    """Answers every request alike, and remembers what was asked."""

    def __init__(self, status: int, answer: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status = status
        self.answer = answer
        self.asked: list[str] = []
        self.shown: list[str | None] = []


class Handler(BaseHTTPRequestHandler):
    """One request of an `Answerer`."""

    def reply(self) -> None:
        """Answer as the server says."""
        assert isinstance(self.server, Answerer)
        self.server.asked.append(f"{self.command} {self.path}")
        self.server.shown.append(self.headers["Authorization"])
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.answer)))
        self.end_headers()
        self.wfile.write(self.server.answer)

    do_GET = do_POST = do_DELETE = reply  # noqa: N815 - http.server's names

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def answering(answer: Any, status: int = 200) -> Iterator[tuple[Service, Answerer]]:
    """Something that answers everything with these bytes, or with a value as JSON."""
    data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    with Answerer(status, data) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield Service(f"http://127.0.0.1:{server.server_port}"), server
        finally:
            server.shutdown()
            thread.join()


def entry(key: str, title: str = "t") -> dict[str, Any]:
    """An entry as the service lists it."""
    return {
        "key": key, "recipe": "generate", "model": "m", "template": "next-step@1", "title": title,
        "tags": ["a", "b"], "age_seconds": 7200, "ttl_seconds": -1, "bytes": 9, "events": 1,
        "usage": {"input_tokens": None, "output_tokens": None}, "saves_ms": 1,
    }  # fmt: skip


def page(*entries: dict[str, Any], total: int | None = None) -> dict[str, Any]:
    """A list as the service answers it."""
    return {"entries": entries, "total": total or len(entries), "statistics": {}}


def test_help_of_each_command() -> None:
    """`cache` names its commands, each explains itself."""
    for name in ("ls", "rm", "stats"):
        assert re.search(rf"^  {name} +[A-Z]", invoke("cache", "--help").output, re.MULTILINE)
        assert f"cache {name} [OPTIONS]" in invoke("cache", name, "--help").output


def test_ls_shows_a_row_an_entry(service: Service) -> None:
    """Newest first: the key's beginning, names, age, time left, and the title last."""
    service.ask("One?", cache={"tags": ["shop"]})
    key = service.ask("Two?", cache={"ttl_seconds": 600})

    head, newest, oldest = service.cache("ls").stdout.splitlines()

    assert head.split() == [
        "KEY", "RECIPE", "MODEL", "TEMPLATE", "TAGS", "AGE", "LEFT", "BYTES", "TOKENS", "TITLE"
    ]  # fmt: skip
    assert re.fullmatch(rf"{key[:12]}  generate  echo +- +- +\ds +9m +\d+ +\S+ +Two\?", newest)
    assert oldest.split()[4] == "shop"


def test_ls_of_an_empty_cache(service: Service) -> None:
    """Nothing is said in words."""
    assert service.cache("ls").stdout == "no entries\n"


@pytest.mark.parametrize(
    ("option", "name"),
    [("tag", "shop"), ("model", "fast"), ("recipe", "generate"), ("template", "next-step")],
)
def test_ls_and_rm_by_name(service: Service, option: str, name: str) -> None:
    """Only entries of that name are listed and dropped; a model may be named by an alias."""
    service.ask("lamps", template="next-step", params={"stage": "s"}, cache={"tags": ["shop"]})
    service.ask("Other?")
    listed = 2 if option in {"model", "recipe"} else 1

    assert len(service.titles(f"--{option}", name)) == listed
    assert service.titles(f"--{option}", "nowhere") == []
    noun = "entries" if listed == 2 else "entry"
    assert service.cache("rm", f"--{option}", name).stdout == f"dropped {listed} {noun}\n"
    assert len(service.titles()) == 2 - listed


def test_ls_says_that_there_are_more(service: Service) -> None:
    """A list that was cut by its limit says so."""
    for prompt in ("One?", "Two?", "Three?"):
        service.ask(prompt)

    lines = service.cache("ls", "--limit", "2").stdout.splitlines()

    assert lines[-1] == "2 of 3 entries; --limit shows more"


def test_rm_by_the_keys_that_ls_shows(service: Service) -> None:
    """A key may be cut short; one that is given twice is dropped once."""
    one, two = service.ask("One?"), service.ask("Two?")
    service.ask("Three?")

    done = service.cache("rm", one[:12], two, one[:8])

    assert (done.exit_code, done.stdout) == (0, "dropped 2 entries\n")
    assert service.titles() == ["Three?"]


def test_rm_all_and_by_age(service: Service) -> None:
    """An age alone means all that are so old; `--all` means all."""
    service.ask("One?")

    assert service.cache("rm", "--older-than", "3600").stdout == "dropped 0 entries\n"
    assert service.cache("rm", "--all", "--older-than", "3600").stdout == "dropped 0 entries\n"
    assert service.cache("rm", "--all").stdout == "dropped 1 entry\n"
    assert service.titles() == []


def test_stats_count(service: Service) -> None:
    """The figures are the service's, as a table and as JSON."""
    before = json.loads(service.cache("stats", "--json").stdout)
    service.ask("How often?")
    service.ask("How often?")
    after = json.loads(service.cache("stats", "--json").stdout)

    assert (after["hits"] - before["hits"], after["misses"] - before["misses"]) == (1, 1)
    table = service.cache("stats").stdout
    assert re.search(r"^hit rate +\d+\.\d%$", table, re.MULTILINE)
    assert re.search(r"^entries +1$", table, re.MULTILINE)
    assert re.search(r"^tokens saved +\d+$", table, re.MULTILINE)


def test_the_service_is_where_the_configuration_says(service: Service) -> None:
    """Without `--url` the command calls the address of [server]."""
    service.ask("One?")
    port = service.url.rpartition(":")[2]

    done = invoke("cache", "ls", LLM_STREAM__SERVER__PORT=port)

    assert "One?" in done.stdout


def test_a_refusal_is_told_with_its_field(service: Service) -> None:
    """What the service refuses is told in its own words, with the field at fault, and is a 1."""
    done = service.cache("ls", "--tag", "x" * 300)

    assert done.exit_code == 1
    assert done.stderr.startswith("A field is invalid: Field 'tag': ")
    assert done.stderr.endswith("(field: tag)\n")


def test_nobody_answers() -> None:
    """An address where nobody listens is told in two lines, and is a 6."""
    with answering({}) as (gone, _):
        pass

    done = gone.cache("ls")

    assert done.exit_code == 6
    assert done.stderr == (
        f"nobody answers at {gone.url}: Connection refused\n"
        "Start it with `llm-stream serve`, or say with --url where it is.\n"
    )


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        (b"<html>", 200, "something that is not JSON"),
        (["entries"], 200, "something else"),
        ({"ok": True}, 200, "something else"),
        (b"<html>", 502, "HTTP 502"),
        (["x"], 404, "HTTP 404"),
    ],
)
def test_somebody_else_answers(answer: Any, status: int, said: str) -> None:
    """What answers otherwise than an llm-stream is told, and is a 6."""
    with answering(answer, status) as (other, _):
        done = other.cache("stats")

    assert done.exit_code == 6
    assert done.stderr == f"{other.url} answers with {said}: is an llm-stream there?\n"


@pytest.mark.parametrize(
    "url",
    ["file:///etc/hostname", "localhost:8080", "http://", "http://a:x", "http://a?b", "http://a#b"],
)
def test_an_address_that_is_none(url: str) -> None:
    """Only http and https addresses are called."""
    done = invoke("cache", "ls", "--url", url)

    assert done.exit_code == 1
    assert done.stderr == f"--url {url} is no address: http://host:port is meant.\n"


def test_secrets_in_the_wrong_place_are_not_repeated() -> None:
    """A password in the address, or a key that is none, is refused and not shown."""
    named = invoke("cache", "ls", "--url", "http://me:canary@a")
    broken = invoke("cache", "ls", "--url", "http://a", "--key", "lls_canary\nX: y")

    assert (named.exit_code, broken.exit_code) == (1, 1)
    assert "LLM_STREAM_KEY" in named.stderr
    assert "--key" in broken.stderr
    assert "canary" not in named.output + broken.output


def test_a_refusal_steers_no_terminal() -> None:
    """What is told of a stranger's answer is replaced as what it would have shown."""
    with answering({"title": "\x1b[2J", "detail": "No."}, 404) as (other, _):
        done = other.cache("ls")

    assert done.stderr == "\ufffd[2J: No.\n"


def test_a_port_that_is_not_known() -> None:
    """Port 0 in the configuration says nothing about where the service is."""
    done = invoke("cache", "ls", LLM_STREAM__SERVER__PORT="0")

    assert done.exit_code == 1
    assert "--url" in done.stderr


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (["abcd"], "abcd: too short, give 8 digits of the key or more"),
        (["abcdefab"], "abcdefab: 2 entries begin so, give more of the key"),
        (["abcdefab1", "0000000000"], "0000000000: no entry begins so among the newest 1000"),
    ],
)
def test_keys_that_name_no_one_entry(keys: list[str], said: str) -> None:
    """A key that is too short, ambiguous or unknown is refused before anything is dropped."""
    listed = page(entry("abcdefab1234"), entry("abcdefab5678"))
    with answering(listed) as (service, server):
        done = service.cache("rm", *keys)

    assert (done.exit_code, done.stderr) == (1, f"{said}\n")
    assert not [asked for asked in server.asked if asked.startswith("DELETE")]


@pytest.mark.parametrize(
    "arguments",
    [
        ["rm"],
        ["rm", "abcdefab", "--all"],
        ["rm", "--all", "--tag", "a"],
        ["rm", "--tag", "a", "--model", "b"],
        ["rm", "--older-than", "0"],
        ["ls", "--tag", "a", "--model", "b"],
        ["ls", "--limit", "0"],
    ],
)
def test_wrong_usage(arguments: list[str]) -> None:
    """Options that contradict each other are refused before anybody is called."""
    with answering(page()) as (service, server):
        done = service.cache(*arguments)

    assert done.exit_code == 2
    assert server.asked == []


def test_titles_cannot_steer_the_terminal() -> None:
    """Control characters of a title are replaced; stale entries and unknown tokens are told."""
    with answering(page(entry("abcdefab1234", "\x1b[2Jred\x07"), total=1)) as (service, _):
        row = service.cache("ls").stdout.splitlines()[1]

    assert row.split() == [
        "abcdefab1234", "generate", "m", "next-step", "a,b", "2h", "stale", "9", "-",
        "\ufffd[2Jred\ufffd",
    ]  # fmt: skip


def test_a_client_key_is_shown_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the environment, where commands of scripts have it; none is shown otherwise."""
    shown: list[str | None] = []
    for key in ("lls_canary", ""):
        monkeypatch.setenv("LLM_STREAM_KEY", key)
        with answering(page()) as (service, server):
            invoke("cache", "ls", "--url", service.url)
            shown += server.shown

    assert shown == ["Bearer lls_canary", None]


def test_the_environment_and_options_say_where_and_who() -> None:
    """`LLM_STREAM_URL` is where the service is, as for the client; options win."""
    with answering(page()) as (service, server), answering(page()) as (other, others):
        variables = {"LLM_STREAM_URL": service.url, "LLM_STREAM_KEY": "lls_one"}
        invoke("cache", "ls", **variables)
        invoke("cache", "ls", "--url", other.url, "--key", "lls_two", **variables)

    assert server.shown == ["Bearer lls_one"]
    assert others.shown == ["Bearer lls_two"]
