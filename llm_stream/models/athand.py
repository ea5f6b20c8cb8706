"""Whether more of an answer is there already: a wire says so, whoever reads the answer asks.

What is there at once is passed on at once: a token by itself costs each layer above as much as
hundreds together do.
"""

from typing import Final

import llm

_MORE: Final = "llm_stream_more_at_hand"


def tell_more(response: llm.AsyncResponse, *, more: bool) -> None:
    """Say whether behind the event that comes next there is another, without any wait or failure.

    It holds until something else is said.
    """
    setattr(response, _MORE, more)


def more_at_hand(response: object) -> bool:
    """What was said last; of a plugin's model it is never known."""
    return bool(getattr(response, _MORE, False))
