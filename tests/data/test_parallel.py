import os

import pytest

from aloe.data.parallel import ordered_map


def square(number):
    return number * number, os.getpid()


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


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_arrives(workers):
    with pytest.raises(ArithmeticError, match="seven"):
        list(ordered_map(fail_at_seven, range(40), workers))
