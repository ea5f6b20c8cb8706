"""Foreign exceptions of models and plugins turned into our errors.

Plugins share no base class of errors (docs/architecture.md, "Models"), so this is the one
place that takes any `Exception` from a model and says whose doing it was.
"""

import re
from typing import Final

import llm
import pydantic

from llm_stream.errors import (
    InvalidOption,
    MissingKey,
    StreamError,
    UnsupportedByModel,
    UpstreamFailed,
    UpstreamRejected,
)

MAX_UPSTREAM_CHARS: Final = 300
"""How much of a foreign error text is shown."""

REDACTED: Final = "[redacted]"

MIN_SECRET_CHARS: Final = 8
"""Shorter values are no secrets: taking them out would mangle every other word."""

_SECRET: Final = re.compile(
    r"""(?ix)
    bearer \s+ \S+
    | \b (?: sk | pk | rk | gsk | xai | hf | ghp | gho | lls | xox[abp] ) [-_] [-\w]{6,}
    | \b (?: AKIA | AIza ) \w{8,}
    | (?<= :// ) [^/@\s]+ (?= @ )                       # user and password of a URL
    | (?<= [?&] ) [\w-]+ = [^&\s]+                     # its query
    | \b (?: api [-_\s]? key | token | secret | password | authorization ) \s* [=:]+ \s* \S+
    | \b (?= [-\w]* \d ) (?= [-\w]* [a-z] ) [-\w]{24,}  # long words of letters and digits
    """
)


# In lines of ours, which are full of long words that are no secrets: ids, fingerprints. What stands
# before a value is kept, and escapes are left whole, so that JSON stays JSON.
_CREDENTIAL: Final = re.compile(
    r"""(?ix)
    ( \b (?: api [-_\s]? key | secret | password | authorization ) (?: \\? ["'] )? \s* [=:] \s*
      (?: \\? ["'] )? (?: (?: basic | bearer ) \s+ )? ) [^\s"',}\\]+
    | ( \b bearer \s+ ) [-\w.~+/]+
    | \b (?: sk | pk | rk | gsk | xai | hf | ghp | gho | lls | xox[abp] ) [-_] [-\w]{6,}
    | \b (?: AKIA | AIza ) \w{8,}
    | \b ticket [.=] [-\w]{8,}
    | (?<= :// ) [^/@\s"'\\]+ (?= @ )
    """
)

_MARKS: Final = (
    "bearer", "key", "secret", "password", "authorization", "akia", "aiza", "://",
    "k-", "k_", "xai", "hf", "ghp", "gho", "lls", "xox", "ticket",
)  # fmt: skip
"""One of them is in every credential: a line without any is not searched, at a hundredth."""

_KNOWN: Final[list[str]] = []
"""Keys, the longest first: one may begin like another."""


def never_show(secret: str) -> None:
    """From now on `scrub` takes this value out of every text, whatever it looks like."""
    if len(secret) >= MIN_SECRET_CHARS and secret not in _KNOWN:
        _KNOWN.append(secret)
        _KNOWN.sort(key=len, reverse=True)


def clean(text: str) -> str:
    """Text that JSON can say: what is not Unicode becomes a question mark."""
    return text.encode("utf-8", "replace").decode()


def redact(text: str) -> str:
    """The same text without known keys and what looks like a credential; the rest as it is."""
    text = _without_known(text)
    small = text.lower()
    for mark in _MARKS:  # `any` would make a generator for each line
        if mark in small:
            return _CREDENTIAL.sub(rf"\1\2{REDACTED}", text)
    return text


def _without_known(text: str) -> str:
    for secret in _KNOWN:
        text = text.replace(secret, REDACTED)
    return text


def scrub(text: str) -> str:
    """Foreign text made safe to show: on one line, cut, without known keys or their like."""
    text = _without_known(text)
    return _SECRET.sub(REDACTED, " ".join(clean(text).split()))[:MAX_UPSTREAM_CHARS]


def from_model(error: Exception, model_id: str) -> StreamError:
    """What a failure during a model call means to the caller.

    Our own errors pass unchanged. HTTP-like `status_code` attributes, which the SDKs of the
    providers have, decide between "may pass" (408, 409, 429, 5xx) and "refused".
    """
    if isinstance(error, StreamError):
        return error
    if isinstance(error, llm.NeedsKeyException):
        return MissingKey(
            f"No API key is configured for the provider of {model_id}. Set its environment "
            "variable or use 'llm keys set' on the server."
        )
    text = scrub(str(error))
    shown = f"{model_id}: {type(error).__name__}{': ' + text if text else ''}"
    status = getattr(error, "status_code", None)
    if isinstance(status, int) and 400 <= status < 500 and status not in {408, 409, 425, 429}:
        return UpstreamRejected(shown)
    return UpstreamFailed(shown)


def from_refused_call(error: Exception, model_id: str) -> StreamError:
    """What it means when a model refuses a call before anything is sent."""
    if isinstance(error, StreamError):
        return error
    if isinstance(error, pydantic.ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        name = str(first["loc"][0]) if first["loc"] else ""
        known = first["type"] != "extra_forbidden"
        return InvalidOption(
            f"{model_id} refuses option {name!r}: "
            f"{first['msg'] if known else 'it has no such option'}. "
            "GET /v1/models lists the options of every model.",
            field=f"options.{name}" if name else "options",
        )
    if isinstance(error, (ValueError, NotImplementedError)):
        return UnsupportedByModel(f"{model_id}: {scrub(str(error))}", field="model")
    return from_model(error, model_id)
