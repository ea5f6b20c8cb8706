"""One JSON call of a running service, for commands; whatever goes wrong is told in a sentence."""

import json
import os
from http import HTTPStatus
from http.client import HTTPException
from typing import Any, Final
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, Request, build_opener

from llm_stream.cli.configured import Refused
from llm_stream.config import Settings
from llm_stream.config.settings import is_loopback

TIMEOUT_SECONDS: Final = 30.0
KEY_VARIABLE: Final = "LLM_STREAM_KEY"
"""Holds the client key to show, where the service asks for one."""

EVERY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - nothing listens here
"""Hosts that mean all addresses of a machine, and the one to call there."""


def url_of(settings: Settings) -> str:
    """Where a service with these settings is called from its own machine.

    Raises:
        Refused: its port is any free one.
    """
    host, port = settings.server.host, settings.server.port
    if not port:
        raise Refused("server.port is 0, any free one: give the service's address with --url.")
    host = EVERY_ADDRESS.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class RunningService:
    """A service that is called over HTTP.

    Args:
        url: its address, http or https.

    Raises:
        Refused: the address is no such thing.
    """

    def __init__(self, url: str) -> None:
        try:
            parts = urlsplit(url)
            host = parts.hostname if parts.port != 0 else None
        except ValueError:
            host = None
        if not host or parts.scheme not in {"http", "https"}:
            raise Refused(f"--url {url} is no address: http://host:port is meant.")
        self.url = url.rstrip("/")
        self._key = os.environ.get(KEY_VARIABLE, "").strip()
        # Nothing between a machine and itself; elsewhere the proxies of the environment.
        self._opener = build_opener(*([ProxyHandler({})] if is_loopback(host) else []))

    def call(self, method: str, path: str, body: object = None, *, holding: str) -> Any:
        """The decoded answer, an object.

        Args:
            method: GET, POST, DELETE.
            path: begins with a slash; with its query.
            body: sent as JSON, unless it is None.
            holding: a key that the answer is bound to have.

        Raises:
            Refused: nobody answers, the service refuses (its detail and the field at fault), or
                what answers is no llm-stream.
        """
        data = None if body is None else json.dumps(body).encode()
        request = Request(  # noqa: S310 - the scheme was checked
            self.url + path,
            data=data,
            method=method,
            headers={"Accept": "application/json", "Content-Type": "application/json"},
        )
        if self._key:
            # Not to where an answer sends the call on.
            request.add_unredirected_header("Authorization", f"Bearer {self._key}")
        try:
            with self._opener.open(request, timeout=TIMEOUT_SECONDS) as reply:
                answer = json.load(reply)
        except HTTPError as error:
            with error:
                raise self._problem(error) from error
        except OSError as error:
            reason = getattr(error, "reason", error)
            raise Refused(
                f"nobody answers at {self.url}: {getattr(reason, 'strerror', None) or reason}",
                "Start it with `llm-stream serve`, or say with --url where it is.",
            ) from error
        except (ValueError, HTTPException) as error:
            raise self._stranger("something that is not JSON") from error
        if not isinstance(answer, dict) or holding not in answer:
            raise self._stranger("something else")
        return answer

    def _problem(self, error: HTTPError) -> Refused:
        try:
            problem = json.load(error)
            said = f"{problem['title']}: {problem['detail']}"
        except (ValueError, KeyError, TypeError, OSError):
            return self._stranger(f"HTTP {error.code}")
        if error.code == HTTPStatus.UNAUTHORIZED:
            return Refused(f"{problem['title']}. Put it into {KEY_VARIABLE}.")
        field = problem.get("field")
        return Refused(f"{said} (field: {field})" if field else said)

    def _stranger(self, what: str) -> Refused:
        return Refused(f"{self.url} answers with {what}: is an llm-stream there?")
