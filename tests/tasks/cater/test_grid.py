"""The cells of the table, checked with the published unit-test cases and by counting."""

import itertools

import numpy as np
import pytest

from aloe.tasks.cater import grid


@pytest.mark.parametrize(
    ("place", "cell"),
    [
        ((-3, -3), 0),
        ((2.99, -3), 5),
        ((-3, 2.99), 30),
        ((2.99, 2.99), 35),
        ((0, 0), 21),
        ((-0.01, -0.01), 14),
        ((3, 3), 35),
        ((3, -3.2), 5),
        ((-1.5, 0.5, 0.3), 19),
    ],
)
def test_cells_of_places(place, cell):
    assert grid.cell(np.array(place)) == cell


def test_every_cell_is_a_square_of_one_unit():
    """Each cell has equally many points of a regular grid, and they fill its square."""
    ticks = np.arange(-3, 3, 0.25) + 0.125
    points = np.array(list(itertools.product(ticks, ticks)))
    cells = grid.cell(points)
    np.testing.assert_array_equal(np.bincount(cells), np.full(36, 16))
    for cell in range(36):
        assert (np.ptp(points[cells == cell], axis=0) == 0.75).all()


def test_distances_are_steps_from_cell_to_cell():
    """By shortest paths: cells that share a side are 1 apart, and the rest follows."""
    steps_AxA = np.full((36, 36), 99)
    for one, other in itertools.product(range(36), repeat=2):
        if one == other:
            steps_AxA[one, other] = 0
        elif abs(one - other) == 6 or (abs(one - other) == 1 and one // 6 == other // 6):
            steps_AxA[one, other] = 1
    for middle in range(36):
        steps_AxA = np.minimum(steps_AxA, steps_AxA[:, [middle]] + steps_AxA[[middle]])
    np.testing.assert_array_equal(grid.distances(), steps_AxA)
