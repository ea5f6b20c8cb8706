"""The processes that tests start: none is left behind."""

from pathlib import Path

import pytest

from .replica import replicas


@pytest.mark.slow
def test_a_replica_ends_with_who_has_started_it(tmp_path: Path) -> None:
    """A test run that is killed kills nothing itself; the pipe that it held is closed then."""
    with replicas(tmp_path, count=1) as (replica,):
        assert replica.process.poll() is None
        assert replica.process.stdin is not None
        replica.process.stdin.close()

        assert replica.process.wait(10) == 1
