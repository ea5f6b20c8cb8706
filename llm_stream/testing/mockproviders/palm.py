"""PaLM as it was: `generateMessage` and `generateText`, each answered by one JSON object."""

from typing import Any, ClassVar, Final

from llm_stream.testing.mockproviders.answers import Asked, MockAnswer
from llm_stream.testing.mockproviders.faults import MockFault
from llm_stream.testing.mockproviders.googlewire import (
    GoogleWire,
    camel,
    endpoint,
    error_body,
    refuse_unknown,
)
from llm_stream.testing.mockproviders.replies import Reply, encoded, plain
from llm_stream.testing.mockproviders.wire import Call, Refusal, joined, listed, require_object

OF_BOTH: Final = listed("candidateCount model prompt temperature topK topP")
OF_TEXT: Final = OF_BOTH | listed("maxOutputTokens safetySettings stopSequences")


class Palm(GoogleWire):
    """The PaLM API, which ended on 2024-08-15."""

    name: ClassVar[str] = "palm"
    versions: ClassVar[frozenset[str]] = frozenset({"v1beta", "v1beta2", "v1beta3"})
    methods: ClassVar[frozenset[str]] = frozenset({"generateMessage", "generateText"})

    def read(self, call: Call) -> Asked:
        """Needs a prompt: messages for the one method, a text for the other."""
        sent = require_object(call.body)
        model, method = endpoint(call)
        refuse_unknown(sent, OF_TEXT if method == "generateText" else OF_BOTH)
        prompt = {camel(name): value for name, value in sent.items()}.get("prompt")
        needed = "text" if method == "generateText" else "messages"
        if not isinstance(prompt, dict) or not prompt.get(needed):
            raise Refusal(400, f"prompt.{needed}: must not be empty")
        return Asked(model=model, prompt=joined([prompt]), method=method)

    def reply(self, asked: Asked, answer: MockAnswer, fault: MockFault) -> Reply:
        """One candidate; nothing tells tokens or why it ended, except that none was let through."""
        text = "".join(answer.text)
        if answer.finish == "filter":
            return plain({"filters": [{"reason": "SAFETY"}]})
        if asked.method == "generateText":
            rating = {"category": "HARM_CATEGORY_TOXICITY", "probability": "NEGLIGIBLE"}
            return plain({"candidates": [{"output": text, "safetyRatings": [rating]}]})
        last: dict[str, Any] = {"author": "0", "content": asked.prompt.rpartition("\n")[2]}
        return plain({"candidates": [{"author": "1", "content": text}], "messages": [last]})

    def error_chunk(self, asked: Asked, status: int, *, first: bool) -> bytes:
        """An error instead of the answer."""
        return encoded(error_body(status or 500, "An internal error has occurred."))
