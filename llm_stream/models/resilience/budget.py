"""How many retries one model may cause, all runs together."""


class RetryBudget:
    """A bucket of retries, filled by answers: in an outage nothing fills it.

    So a model that is down gets `capacity` retries in all, then one call a request; one that
    fails now and then gets as many as it needs. It knows no clock.

    Args:
        capacity: retries it holds at most, and at the start.
        share: what one answer adds: 0.1 allows one retry for ten answers.
    """

    def __init__(self, capacity: float, share: float) -> None:
        self._capacity = capacity
        self._share = share
        self.left = capacity

    def take(self) -> bool:
        """Whether a retry is allowed; it is counted then."""
        if self.left < 1:
            return False
        self.left -= 1
        return True

    def answered(self) -> None:
        """The model has answered a call."""
        self.left = min(self._capacity, self.left + self._share)
