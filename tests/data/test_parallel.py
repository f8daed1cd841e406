import os

import pytest

from aloe.data.parallel import ordered_map
from tests.waiting import wait_for


def square(number):
    return number * number, os.getpid()


def meet(files):
    """Returns once the item with the same two files in reverse order is being processed too."""
    mine, others = files
    mine.touch()
    wait_for(others.exists, 300)
    return mine


def fail_at_seven(number):
    if number == 7:
        raise ArithmeticError("seven")
    return number


def test_processes_give_the_results_in_order():
    squares, processes = zip(*ordered_map(square, range(100), workers=2), strict=True)
    assert squares == tuple(number * number for number in range(100))
    assert os.getpid() not in processes


def test_a_short_list_is_done_in_this_process():
    assert list(ordered_map(square, range(5))) == [(number * number, os.getpid()) for number in range(5)]


def test_items_that_take_long_go_to_processes_one_by_one(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    assert list(ordered_map(meet, [(one, other), (other, one)], workers=2, chunk=1)) == [one, other]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_arrives(workers):
    with pytest.raises(ArithmeticError, match="seven"):
        list(ordered_map(fail_at_seven, range(40), workers))
