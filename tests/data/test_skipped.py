import pytest

from aloe.data.skipped import Skipped
from aloe.errors import InputError


@pytest.mark.parametrize(("total", "allowed"), [(1, 0), (99, 0), (100, 1), (250, 2), (10_000, 100)])
def test_one_in_a_hundred_may_be_broken(total, allowed):
    skipped = Skipped("videos", total)
    for index in range(allowed):
        skipped.add(index, "broken")
        skipped.stop_if_too_many()
    skipped.add(allowed, "broken")
    with pytest.raises(InputError, match=rf"{allowed + 1} of {total} videos .*at most {allowed} may be"):
        skipped.stop_if_too_many()


def test_the_first_few_are_named_and_the_rest_counted():
    skipped = Skipped("videos of the train split", 20, limit=0.5)
    assert skipped.summary() == ""
    for index in range(8):
        skipped.add(index, InputError(f"video {index}: cut off"))
    assert not skipped.too_many
    lines = skipped.summary(shown=3).splitlines()
    assert lines[1:] == ["  video 0: cut off", "  video 1: cut off", "  video 2: cut off", "  and 5 more"]


def test_one_example_counts_once():
    skipped = Skipped("videos", 100)
    skipped.add(7, "no annotation")
    skipped.add(7, "short")
    assert len(skipped) == 1
