"""A finished run as a real `llm.Response`, made by its public `from_dict`.

llm's own `LogStore.log` can write it. That is how runs are written where llm's tables are others
than this version knows, and what its own rows are held against in tests.
"""

from collections.abc import Iterator
from typing import Any

import llm
from llm.serialization import ResponseDict  # noqa: TC002 - as its neighbours
from pydantic import ConfigDict

from llm_stream.history.turns import Logged, moment
from llm_stream.models.prompting import declared


class LoggedModel(llm.Model):
    """The name under which an answer is logged, and whatever options it was made with."""

    class Options(llm.Options):
        """Options as they were sent."""

        model_config = ConfigDict(extra="allow")

    def __init__(self, model_id: str) -> None:
        self.model_id = model_id

    def execute(self, *_: Any, **__: Any) -> Iterator[str]:
        """Refuse to go on from a logged answer: only its model's name is known here.

        Raises:
            llm.ModelError: always (whoever asks has to take the model itself).
        """
        raise llm.ModelError(f"This is {self.model_id} as it was logged. Ask the model itself.")


class LoggedResponse(llm.Response):
    """An answer with the times of its run.

    Attributes:
        began_at: seconds since 1970.
        total_ms: how long it took.
    """

    began_at: float = 0.0
    total_ms: int = 0

    def duration_ms(self) -> int:
        """How long it took."""
        return self.total_ms

    def datetime_utc(self) -> str:
        """When it began."""
        return moment(self.began_at)


def response_of(logged: Logged) -> LoggedResponse:
    """The run as a response. What `from_dict` does not take is set on it."""
    data: ResponseDict = {
        "id": logged.id,
        "model": logged.model,
        "prompt": {"messages": list(logged.asked), "options": dict(logged.options)},
        "messages": [{"role": "assistant", "parts": list(logged.answered)}],
    }
    response = LoggedResponse.from_dict(data, model=LoggedModel(logged.model))
    assert isinstance(response, LoggedResponse)  # noqa: S101 - `from_dict` is annotated with its base
    response.began_at = logged.began_at
    response.total_ms = logged.total_ms
    response.prompt.tools = list(declared(logged.tools))
    response.prompt.schema = None if logged.schema is None else dict(logged.schema)
    response.response_json = {"llm_stream": dict(logged.about)}
    response.set_usage(input=logged.input_tokens, output=logged.output_tokens)
    if logged.resolved_model is not None:
        response.set_resolved_model(logged.resolved_model)
    return response
