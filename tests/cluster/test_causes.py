"""The root cause is told apart from its consequences, in whatever order the signs arrive."""

import itertools

import pytest

from cluster.causes import first_cause
from cluster.outcomes import Ending, Outcome

LOST_0 = Outcome(Ending.FAILED, 0, "its process died", lost=True)
LOST_2 = Outcome(Ending.FAILED, 2, "its process died", lost=True)
PROGRAM = Outcome(Ending.FAILED, 1, "ValueError: bad", program_error=True)
XLA = Outcome(Ending.FAILED, 3, "JaxRuntimeError: connection closed")
HUNG_1 = Outcome(Ending.HUNG, 1, "stands still", "its stacks")
HUNG_2 = Outcome(Ending.HUNG, 2, "stands still", "its stacks")


@pytest.mark.parametrize(
    ("seen", "silent", "stands", "rank"),
    [
        ([LOST_2, XLA], {}, {0: 7, 1: 7}, 2),
        ([LOST_2, XLA, LOST_0], {}, {1: 7}, 0),
        ([PROGRAM, XLA], {}, {0: 7, 2: 7}, 1),
        ([LOST_2, PROGRAM], {}, {0: 7}, 2),
        ([XLA, HUNG_1], {}, {0: 8, 1: 7, 2: 8}, 1),
        ([HUNG_1, HUNG_2], {}, {0: 8, 1: 8, 2: 7, 3: 8}, 2),
        ([HUNG_1, HUNG_2], {}, {0: 6, 1: 8, 2: 8, 3: 8}, 0),
        ([LOST_0, LOST_2, XLA], {3: 11.0}, {1: 7}, 3),
        ([HUNG_1, HUNG_2], {3: 11.0}, {0: 8, 1: 8, 2: 8}, 3),
        ([XLA], {}, {0: 8, 1: 8, 2: 8}, 3),
    ],
)
def test_the_cause_is_found_in_whatever_order_the_signs_come(seen, silent, stands, rank):
    for order in itertools.permutations(seen):
        cause = first_cause(order, silent, stands)
        assert cause.rank == rank
        assert {other.rank for other in cause.collateral} == {each.rank for each in seen} - {rank}


def test_of_exceptions_that_came_by_themselves_the_first_one_counts():
    other = Outcome(Ending.FAILED, 2, "KeyError: other", program_error=True)
    assert first_cause([PROGRAM, other], {}, {}).rank == 1
    assert first_cause([other, PROGRAM], {}, {}).rank == 2


def test_a_host_that_does_not_answer_is_hung_and_no_error_of_the_program():
    cause = first_cause([], {3: 11.0}, {0: 5})
    assert (cause.status, cause.rank, cause.program_error) == (Ending.HUNG, 3, False)
    assert cause.message == "its process has not answered for 11 s"
