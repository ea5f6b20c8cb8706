"""What is open, and ends with its client."""

from llm_stream.access.presence import Presence


def test_what_a_gone_client_has_open_is_ended() -> None:
    """All of it, nothing of others, and nothing that was closed before."""
    presence, ended = Presence(), list[str]()
    with (
        presence.here("a", lambda: ended.append("a1")),
        presence.here("a", lambda: ended.append("a2")),
        presence.here("b", lambda: ended.append("b")),
    ):
        with presence.here("a", lambda: ended.append("closed")):
            pass
        presence.gone("a")
        presence.gone("nobody")

    assert ended == ["a1", "a2"]
    assert len(presence) == 0
