"""The leaves of the error tree, for the tests that look at every error."""

from llm_stream.errors import StreamError


def concrete_errors() -> frozenset[type[StreamError]]:
    """Every error class that is raised, i.e. the leaves of the tree."""

    def leaves(cls: type[StreamError]) -> set[type[StreamError]]:
        found: set[type[StreamError]] = set()
        for child in cls.__subclasses__():
            found |= leaves(child)
        return found or {cls}

    return frozenset(leaves(StreamError))
