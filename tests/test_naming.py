"""Names: nobody has used them, and ULIDs sort by time."""

import os

from ulid import ULID

from llm_stream.naming import token, ulid


def test_names_are_new() -> None:
    """No two are equal."""
    names = [token() for _ in range(10_000)] + [ulid() for _ in range(10_000)]

    assert len(set(names)) == len(names)


def test_a_ulid_holds_the_time() -> None:
    """Any reader of ULIDs finds when it was made."""
    first, second = ULID.from_str(ulid()), ULID.from_str(ulid())

    assert 0 <= second.timestamp - first.timestamp < 60
    assert len(token()) == 20


def test_ulids_sort_as_they_were_made() -> None:
    """Those of one millisecond as well."""
    names = [ulid() for _ in range(10_000)]

    assert names == sorted(names)


def test_a_fork_does_not_repeat_names() -> None:
    """A child process makes names of its own."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.write(writer, token().encode())
        os._exit(0)
    os.waitpid(child, 0)

    assert os.read(reader, 20).decode() != token()
