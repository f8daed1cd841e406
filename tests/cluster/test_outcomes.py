"""Budgets are exact, and each is charged for its own kind of ending only."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.outcomes import Budgets, Ended, Ending, Spent, growing_pause, pause_before_retry

BROKEN = (Ending.FAILED, Ending.HUNG)


def attempts_until_given_up(budgets, endings):
    """How many attempts a run gets if they end like this, in order; None if it is not given up by the last one."""
    spent = Spent()
    for number, ending in enumerate(endings, 1):
        spent = spent.charged(ending)
        if pause_before_retry(Ended(ending), spent, budgets) is None:
            return number
    return None


@given(st.integers(0, 5), st.integers(0, 5), st.data())
def test_a_budget_is_spent_by_its_own_kind_alone_and_to_the_last(preemptions, failures, data):
    budgets = Budgets(preemptions=preemptions, failures=failures)
    good = [Ending.PREEMPTED] * preemptions + [data.draw(st.sampled_from(BROKEN)) for _ in range(failures)]
    made_good = data.draw(st.permutations(good))
    assert attempts_until_given_up(budgets, made_good) is None
    for last in (Ending.PREEMPTED, *BROKEN):
        assert attempts_until_given_up(budgets, [*made_good, last]) == len(made_good) + 1


@pytest.mark.parametrize("ending", [Ending.SUCCEEDED, Ending.CANCELLED])
def test_what_has_ended_well_or_was_taken_back_is_not_started_again(ending):
    spent = Spent().charged(ending)
    assert spent == Spent()
    assert pause_before_retry(Ended(ending), spent, Budgets()) is None


def test_a_program_error_is_not_retried_whatever_is_left():
    error = Ended(Ending.FAILED, "ValueError: bad", final=True)
    assert pause_before_retry(error, Spent(failures=1), Budgets(failures=1000)) is None


def test_pauses_after_failures_grow_to_the_longest_and_a_preemption_has_none():
    budgets = Budgets(failures=10**6, first_pause=10, longest_pause=600)
    pauses = [pause_before_retry(Ended(Ending.HUNG), Spent(failures=n), budgets) for n in range(1, 9)]
    assert pauses == [10, 20, 40, 80, 160, 320, 600, 600]
    assert growing_pause(10**6, budgets) == 600
    assert pause_before_retry(Ended(Ending.PREEMPTED), Spent(preemptions=50, failures=3), budgets) == 0
