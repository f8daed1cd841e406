"""The 6 × 6 grid of cells over the table; cell numbers are CATER's labels (localisation, "task 3")."""

import numpy as np

SIDE = 6
CELLS = SIDE * SIDE
REACH = 3.0  # the table is [−3, 3] along x and y; a cell is 1 × 1
_LAST = REACH - 1e-5  # 3 itself belongs to the last cell


def cell(location: np.ndarray) -> np.ndarray:
    """Positions [..., 2 or more], x and y first → cells [...], 0 to 35: row · 6 + column, columns along x."""
    column_row = np.floor(np.clip(np.asarray(location, float)[..., :2], -REACH, _LAST)).astype(int) + SIDE // 2
    return column_row[..., 1] * SIDE + column_row[..., 0]


def distances() -> np.ndarray:
    """The Manhattan distance between any two cells, distance_AxA: columns apart plus rows apart."""
    row_A, column_A = np.divmod(np.arange(CELLS), SIDE)
    return abs(column_A[:, None] - column_A) + abs(row_A[:, None] - row_A)
