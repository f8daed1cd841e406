import itertools

import pytest

from cluster.errors import ClusterError
from cluster.slices import SLICES, V2, V3, slice_for_hosts, slice_named


@pytest.mark.parametrize("slice", SLICES, ids=lambda slice: slice.name)
def test_the_numbers_of_a_slice_agree(slice):
    generation = slice.generation
    assert slice.name == f"{generation.name}-{slice.chips * generation.cores_per_chip}"  # official names count cores
    assert slice.devices == slice.hosts * generation.devices_per_host
    assert slice.chips == slice.hosts * generation.chips_per_host
    assert generation.memory_per_device * slice.devices == generation.memory_per_chip * slice.chips


def test_names_are_unique_and_sizes_grow():
    assert len({slice.name for slice in SLICES}) == len(SLICES)
    for _, group in itertools.groupby(SLICES, key=lambda slice: slice.generation):
        sizes = [slice.chips for slice in group]
        assert sizes == sorted(set(sizes))


def test_the_machine_of_the_paper():
    slice = slice_named("v2-32")
    assert (slice.topology, slice.hosts, slice.chips, slice.devices) == ("4x4", 4, 16, 32)
    assert V2.memory_per_device == 8 * 2**30
    assert V3.memory_per_device == 16 * 2**30


def test_the_first_generation_with_so_many_hosts_is_picked():
    assert slice_for_hosts(4) == slice_named("v2-32")
    assert slice_for_hosts(1) == slice_named("v2-8")
    assert slice_for_hosts(256) == slice_named("v3-2048")  # no v2 is as large


def test_an_unknown_name_names_the_nearest_and_the_list():
    with pytest.raises(ClusterError, match=r"'v2-23'; did you mean v2-32\?.*v3-2048") as error:
        slice_named("v2-23")
    assert error.value.exit_status == 2


@pytest.mark.parametrize(("hosts", "nearest"), [(0, 1), (5, 4), (10**6, 256)])
def test_a_number_of_hosts_that_no_slice_has(hosts, nearest):
    with pytest.raises(ClusterError, match=f"no slice has {hosts} hosts; the nearest has {nearest}"):
        slice_for_hosts(hosts)
