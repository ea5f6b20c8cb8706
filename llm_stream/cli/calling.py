"""One JSON call of a running service, for commands; whatever goes wrong is told in a sentence.

Not by the client, whose import takes longer than such a call; a shell that completes a name waits
for it.
"""

import json
from http import HTTPStatus
from http.client import HTTPException
from typing import Any, Final
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, Request, build_opener

from llm_stream.cli.configured import KEY_VARIABLE, Refused, Unanswered, unanswered
from llm_stream.loopback import is_loopback

TIMEOUT_SECONDS: Final = 30.0


class RunningService:
    """A service that is called over HTTP.

    Args:
        url: its address, http or https.
        key: the client key to show, "" for none.
        seconds: how long it may be silent.
    """

    def __init__(self, url: str, key: str, seconds: float = TIMEOUT_SECONDS) -> None:
        self.url = url
        self._key = key
        self._seconds = seconds
        # Nothing between a machine and itself; elsewhere the proxies of the environment.
        here = is_loopback(urlsplit(url).hostname or "")
        self._opener = build_opener(*([ProxyHandler({})] if here else []))

    def call(self, method: str, path: str, body: object = None, *, holding: str) -> Any:
        """The decoded answer, an object.

        Args:
            method: GET, POST, DELETE.
            path: begins with a slash; with its query.
            body: sent as JSON, unless it is None.
            holding: a key that the answer is bound to have.

        Raises:
            Refused: the service refuses; its detail and the field at fault.
            Unanswered: nobody answers, or what answers is no llm-stream.
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
            with self._opener.open(request, timeout=self._seconds) as reply:
                answer = json.load(reply)
        except HTTPError as error:
            with error:
                raise self._problem(error) from error
        except OSError as error:
            reason = getattr(error, "reason", error)
            raise unanswered(self.url, getattr(reason, "strerror", None) or reason) from error
        except (ValueError, HTTPException) as error:
            raise self._stranger("something that is not JSON") from error
        if not isinstance(answer, dict) or holding not in answer:
            raise self._stranger("something else")
        return answer

    def _problem(self, error: HTTPError) -> Refused:
        try:
            problem = json.load(error)
            said = f"{problem['title']}: {problem['detail']}"
        except (ValueError, KeyError, TypeError, OSError, HTTPException):
            return self._stranger(f"HTTP {error.code}")
        if error.code == HTTPStatus.UNAUTHORIZED:
            return Refused(f"{problem['title']}. Put it into {KEY_VARIABLE}.")
        field = problem.get("field")
        return Refused(f"{said} (field: {field})" if field else said)

    def _stranger(self, what: str) -> Refused:
        return Unanswered(f"{self.url} answers with {what}: is an llm-stream there?")
