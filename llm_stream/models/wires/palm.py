"""PaLM's generateMessage (chat) and generateText.

Google ended this API on 2024-08-15; the wire is for servers that still speak it. Source: PaLM API
reference v1beta2. It neither streams nor counts tokens nor says why an answer ended: an answer is
one JSON value, and whole if that is.
"""

from typing import Any, Final
from urllib.parse import quote

import llm

from llm_stream.models.wires.answer import Answer, Said, text_of
from llm_stream.models.wires.credentials import google
from llm_stream.models.wires.model import WireModel
from llm_stream.models.wires.options import given
from llm_stream.models.wires.refusals import error_event
from llm_stream.models.wires.turns import split, turns_of

CONFIG: Final = {"temperature": "temperature", "top_p": "topP", "top_k": "topK"}


class PalmAnswer(Answer):
    """Reads `GenerateMessageResponse` and `GenerateTextResponse`."""

    def take_whole(self, body: Any) -> Said:
        """The first candidate; without one, the filters say why."""
        if body.get("error"):
            raise error_event(body["error"], self.model_id)
        candidates = body.get("candidates")
        if not candidates and body.get("filters"):
            self.refused += [text_of(each.get("reason") or "") for each in body["filters"]]
            return ()
        (candidate, *_) = candidates
        text = candidate["content"] if "content" in candidate else candidate["output"]
        self.finish_reason = "stop"
        return (text_of(text),)


class PalmModel(WireModel):
    """A model behind `:generateMessage`, or `:generateText` if its name begins with "text"."""

    @property
    def _writes(self) -> bool:
        return self.upstream_name.startswith("text")

    def path(self, *, stream: bool) -> str:
        """The model's name is quoted: it can come from a request."""
        method = "generateText" if self._writes else "generateMessage"
        return f"/v1beta2/models/{quote(self.upstream_name, safe='')}:{method}"

    def headers(self, key: str | None, body: dict[str, Any]) -> dict[str, str]:
        """The key in Google's own header."""
        return google(key)

    def answer(self, prompt: llm.Prompt) -> Answer:
        """See `WireModel`."""
        return PalmAnswer(self.model_id)

    def request(self, prompt: llm.Prompt, *, stream: bool) -> dict[str, Any]:
        """See `WireModel`; a conversation is told to a text model as one text."""
        options = given(prompt.options)
        system, turns = split(turns_of(prompt))
        body: dict[str, Any] = {
            theirs: options[ours] for ours, theirs in CONFIG.items() if ours in options
        }
        if self._writes:
            body["prompt"] = {"text": "\n\n".join(filter(None, [system, *(t.text for t in turns)]))}
            if "max_output_tokens" in options:
                body["maxOutputTokens"] = options["max_output_tokens"]
            return body
        said = [{"author": turn.role, "content": turn.text} for turn in turns]
        body["prompt"] = {"messages": said, **({"context": system} if system else {})}
        return body
