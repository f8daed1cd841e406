"""A folder of squares and a task on it; a world of our own with exact masks, drawn once."""

import pytest

from aloe.tasks.clevrer import world
from aloe.tasks.monet import task as monet
from tests.tasks.monet.squares import settings, write_squares


@pytest.fixture(scope="session")
def squares(tmp_path_factory):
    return write_squares(tmp_path_factory.mktemp("squares"))


@pytest.fixture(scope="session")
def task(squares):
    return monet.make(settings(squares))


@pytest.fixture(scope="session")
def drawn_world(tmp_path_factory):
    root = tmp_path_factory.mktemp("world") / "world"
    world.write(root, 3, width=32, height=32, workers=1)
    return root
