"""Foreign exceptions become ours; secrets do not come along."""

from typing import Any

import llm
import pytest

from llm_stream.errors import (
    MissingKey,
    OutputTooLarge,
    UnsupportedByModel,
    UpstreamFailed,
    UpstreamRejected,
)
from llm_stream.models.faults import from_model, from_refused_call, never_show, scrub


class ApiError(Exception):
    """What an SDK raises."""

    def __init__(self, status: Any) -> None:
        super().__init__("Authorization: Bearer sk-abcdefgh12345678 was refused")
        self.status_code = status


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (llm.NeedsKeyException("x"), MissingKey),
        (llm.ModelError("x"), UpstreamFailed),
        (ConnectionResetError(), UpstreamFailed),
        (TimeoutError(), UpstreamFailed),
        (IndexError("list index"), UpstreamFailed),
        (ApiError(401), UpstreamRejected),
        (ApiError(404), UpstreamRejected),
        (ApiError(408), UpstreamFailed),
        (ApiError(429), UpstreamFailed),
        (ApiError(500), UpstreamFailed),
        (ApiError(529), UpstreamFailed),
        (OutputTooLarge("x"), OutputTooLarge),
    ],
)
def test_each_failure_has_its_class(error: Any, kind: Any) -> None:
    """The class says whose doing it was and whether trying again can help."""
    assert type(from_model(error, "m")) is kind


def test_a_refusal_before_sending_is_the_callers() -> None:
    """What a model refuses as a value is `unsupported_by_model`."""
    assert isinstance(from_refused_call(ValueError("no schema"), "m"), UnsupportedByModel)
    assert isinstance(from_refused_call(RuntimeError("x"), "m"), UpstreamFailed)


def test_a_known_secret_is_not_shown() -> None:
    """A value that is known goes, whatever it looks like; a short one would mangle words."""
    never_show("open ses")
    never_show("open sesame")
    never_show("the")

    assert scrub("say open sesame to the door") == "say [redacted] to the door"


@pytest.mark.parametrize(
    "secret",
    ["gsk_abcdef1234567890", "xai-abcdef123456", "hf_AbCdEf123456", "AKIAIOSFODNN7EXAMPLE",
     "http://h/?key=hunter2hunter2", "http://user:hunter2@h/", "sk-abcdefgh12345678",
     "AIzaSyA1234567890abcdef", "api_key=hunter2hunter2",
     "Bearer abc.def.ghi", "lls_abcd1234_xyz"],
)  # fmt: skip
def test_nothing_shaped_like_a_key_is_shown(secret: Any) -> None:
    """Scrubbed text has no key in it, is one line and at most 300 characters."""
    shown = scrub(f"failed\nwith {secret} " + "x" * 500)

    for word in ("hunter2", "sk-abc", "gsk_", "xai-", "hf_A", "AKIA", "AIza", "abc.def", "lls_abc"):
        assert word not in shown
    assert "\n" not in shown
    assert len(shown) <= 300
