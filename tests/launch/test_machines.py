"""Which slices a run may use."""

from cluster.slices import slice_named
from launch.machines import with_smaller


def names(slices):
    return [each.name for each in slices]


def test_smaller_slices_are_asked_for_and_are_those_of_the_generation_largest_first():
    assert names(with_smaller(slice_named("v3-128"), True)) == ["v3-128", "v3-32", "v3-8"]
    assert names(with_smaller(slice_named("v3-128"), False)) == ["v3-128"]
    assert names(with_smaller(slice_named("v2-8"), True)) == ["v2-8"]
