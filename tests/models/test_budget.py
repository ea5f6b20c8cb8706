"""The budget of retries: an outage uses it up, answers fill it."""

from llm_stream.models.resilience.budget import RetryBudget


def test_an_outage_gets_so_many_retries_and_no_more() -> None:
    """Without an answer the bucket is empty after its capacity."""
    budget = RetryBudget(3, 0.1)

    assert [budget.take() for _ in range(5)] == [True, True, True, False, False]


def test_answers_give_retries_back_up_to_the_capacity() -> None:
    """Ten answers of a tenth each are a retry; a full bucket takes no more."""
    budget = RetryBudget(1, 0.25)
    budget.take()
    for _ in range(3):
        budget.answered()
    assert not budget.take()
    for _ in range(100):
        budget.answered()

    assert (budget.left, budget.take(), budget.take()) == (1, True, False)
