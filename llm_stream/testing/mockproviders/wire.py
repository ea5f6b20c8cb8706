"""What every mocked wire has to say: who may ask, what was asked, the reply, the errors."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from llm_stream.testing.mockproviders.answers import Asked, MockAnswer, opaque_id
from llm_stream.testing.mockproviders.faults import MockFault
from llm_stream.testing.mockproviders.replies import Reply

CREATED: Final = 1_760_000_000
"""The time that replies bear; fixed, so that equal requests get equal bytes."""


class Refusal(Exception):
    """The request is not answered, for a reason that the provider would have as well.

    Args:
        status: the HTTP status.
        message: for whoever asked.
        code: the provider's own word for it, if it has one.
        param: the field at fault.
        retry_seconds: how long to wait, where the provider's body says so.
    """

    def __init__(
        self,
        status: int,
        message: str,
        code: str = "",
        param: str = "",
        retry_seconds: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param
        self.retry_seconds = retry_seconds


@dataclass(frozen=True, slots=True)
class Call:
    """A request on its way to a wire; `headers` and `query` still have the keys."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any = None

    @property
    def request_id(self) -> str:
        """An id of the request, the same for equal ones."""
        return opaque_id("req_", Asked(model=self.path, prompt=str(self.body)))

    @property
    def bearer(self) -> str:
        """The key in the `Authorization` header."""
        return self.headers.get("authorization", "").removeprefix("Bearer ").strip()


class Wire(ABC):
    """One provider's interface, faked."""

    name: ClassVar[str]
    """How records and addresses call it."""

    @abstractmethod
    def takes(self, call: Call) -> bool:
        """Whether a request is for this wire; its path has no provider's name in front."""

    @abstractmethod
    def admit(self, call: Call) -> None:
        """Check the key and what else every request needs.

        Raises:
            Refusal: it is missing or wrong.
        """

    @abstractmethod
    def read(self, call: Call) -> Asked:
        """What is asked for.

        Raises:
            Refusal: the provider would not take such a body.
        """

    @abstractmethod
    def reply(self, asked: Asked, answer: MockAnswer, fault: MockFault) -> Reply:
        """The answer in the provider's shape; of the fault, only what is absent is obeyed."""

    @abstractmethod
    def error(self, refusal: Refusal, call: Call) -> Reply:
        """An error in the provider's shape."""

    @abstractmethod
    def error_chunk(self, asked: Asked, status: int, *, first: bool) -> bytes:
        """How a stream tells of an error; status 0 = of the usual kind."""

    def limits(self, left: int, reset_seconds: float) -> Mapping[str, str]:
        """Headers that say how many calls are left until a reset; none where there are none."""
        return {}

    @abstractmethod
    def models(self, names: Sequence[str]) -> Reply:
        """The list of models."""


def listed(names: str) -> frozenset[str]:
    """Names that stand in one line."""
    return frozenset(names.split())


def require_object(body: Any) -> dict[str, Any]:
    """A body that is a JSON object.

    Raises:
        Refusal: it is none.
    """
    if not isinstance(body, dict):
        raise Refusal(400, "The body is not a JSON object.")
    return body


def texts(content: Any) -> Iterator[str]:
    """All text in a prompt, however deep: strings, and the `text` of parts."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, list):
        for part in content:
            yield from texts(part)
    elif isinstance(content, dict):
        for key in ("context", "text", "content", "parts", "output", "messages"):
            yield from texts(content.get(key))


def joined(contents: Iterable[Any]) -> str:
    """All text in several parts of a request."""
    return "\n".join(text for content in contents for text in texts(content))
