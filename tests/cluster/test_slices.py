import itertools

import pytest

from cluster.errors import ClusterError
from cluster.slices import CPU, H100, H200, SLICES, V2, V3, slice_for_hosts, slice_named


@pytest.mark.parametrize("slice", SLICES, ids=lambda slice: slice.name)
def test_the_numbers_of_a_slice_agree(slice):
    generation = slice.generation
    assert slice.name == f"{generation.name}-{slice.devices}"  # Google's names count cores, i.e. devices; so do ours
    assert slice.devices == slice.hosts * generation.devices_per_host
    assert slice.chips == slice.hosts * generation.chips_per_host
    if generation != CPU:
        assert generation.memory_per_device * slice.devices == generation.memory_per_chip * slice.chips
        assert generation.peak_flops_per_device * slice.devices == generation.peak_flops_per_chip * slice.chips


def test_names_are_unique_and_sizes_grow():
    assert len({slice.name for slice in SLICES}) == len(SLICES)
    groups = [(key, list(group)) for key, group in itertools.groupby(SLICES, key=lambda slice: slice.generation)]
    assert len({generation.name for generation, _ in groups}) == len(groups)  # each is contiguous, with a unique name
    for _, group in groups:
        sizes = [slice.chips for slice in group]
        assert sizes == sorted(set(sizes))


def test_the_machine_of_the_paper():
    slice = slice_named("v2-32")
    assert (slice.topology, slice.hosts, slice.chips, slice.devices) == ("4x4", 4, 16, 32)
    assert V2.memory_per_device == 8 * 2**30
    assert V3.memory_per_device == 16 * 2**30


def test_hosts_of_gpus_and_of_cpus():
    assert [(slice_named(f"h100-{8 * hosts}").hosts, H100.devices_per_host) for hosts in (1, 2, 4)] == [
        (1, 8),
        (2, 8),
        (4, 8),
    ]
    assert [slice_named(f"cpu-{hosts}").hosts for hosts in (1, 2, 4, 8)] == [1, 2, 4, 8]
    assert H100.memory_per_device < H200.memory_per_device
    assert (CPU.memory_per_device, CPU.peak_flops_per_device) == (None, None)  # machines differ


def test_a_slice_in_words():
    assert str(slice_named("v2-32")) == "v2-32 (4 hosts, 16 chips, 32 devices)"
    assert str(slice_named("h100-16")) == "h100-16 (2 hosts, 16 devices)"
    assert str(slice_named("cpu-1")) == "cpu-1 (1 host, 1 device)"


def test_the_first_generation_with_so_many_hosts_is_picked():
    assert slice_for_hosts(4) == slice_named("v2-32")
    assert slice_for_hosts(1) == slice_named("v2-8")
    assert slice_for_hosts(256) == slice_named("v3-2048")  # no v2 slice is that large


def test_an_unknown_name_names_the_nearest_and_the_list():
    with pytest.raises(ClusterError, match=r"'v2-23'; did you mean v2-32\?.*v3-2048") as error:
        slice_named("v2-23")
    assert error.value.exit_status == 2


@pytest.mark.parametrize(("hosts", "nearest"), [(0, 1), (2, 1), (5, 4), (10**6, 256)])
def test_a_number_of_hosts_that_no_slice_has(hosts, nearest):
    with pytest.raises(ClusterError, match=f"no slice of TPUs has {hosts} hosts; the nearest has {nearest}"):
        slice_for_hosts(hosts)
