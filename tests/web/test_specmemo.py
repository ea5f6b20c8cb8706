"""What bodies meant, remembered within bounds."""

from llm_stream.access.principal import EVERYBODY
from llm_stream.models.chunks import Message
from llm_stream.recipes.spec import RunSpec, dump_spec
from llm_stream.web.intake import Caller
from llm_stream.web.specmemo import MAX_BODY_BYTES, MAX_BYTES, SpecMemo


def test_long_texts_of_short_bodies_count() -> None:
    """What all texts take, in specs and in their JSON, stays within the bytes of the memo."""
    memo, text = SpecMemo(), "x" * (MAX_BODY_BYTES - 1)
    spec = RunSpec(recipe="generate", model="m", messages=(Message("user", text),))
    caller = Caller("req_1", "claim_1", EVERYBODY)
    for number in range(1000):
        memo.spec("generate", b"%d" % number, caller, lambda: spec)

    assert 100 < len(memo) < MAX_BYTES / (len(text) + len(dump_spec(spec)))
