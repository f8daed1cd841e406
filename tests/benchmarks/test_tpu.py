"""The compiler's message when a program does not fit, and our own when there is no compiler."""

import importlib.util

import jax
import pytest

from aloe.errors import InputError
from benchmarks import tpu, tpu_table
from cluster.slices import V2, V3, slice_named
from tests.libtpu import needs_libtpu, python

REFUSALS = [
    (
        "RESOURCE_EXHAUSTED: Ran out of memory on HBM, the total memory required for HLO temporaries (64.00G) exceeds "
        "available HBM (7.48G).",
        64 * 2**30,
    ),
    (
        "RESOURCE_EXHAUSTED: Ran out of memory in memory space hbm. Used 9.25G of 7.48G hbm. Exceeded hbm capacity by "
        "1.77G.",
        9.25 * 2**30,
    ),
    ("RESOURCE_EXHAUSTED: Out of memory.", None),
]


class Lowered:
    def __init__(self, message):
        self.message = message

    def compile(self):
        raise jax.errors.JaxRuntimeError(self.message)


@pytest.mark.parametrize(("message", "needed"), REFUSALS)
def test_a_refusal_tells_how_much_is_needed(message, needed):
    with pytest.raises(tpu.DoesNotFitError) as refused:
        tpu.compiled(Lowered(message))
    assert refused.value.needed == needed


def test_other_errors_are_not_hidden():
    with pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL"):
        tpu.compiled(Lowered("INTERNAL: something else"))


def test_what_a_program_can_have():
    """The limits in the messages above, and in those for a v3."""
    assert tpu.usable_memory(V2) / 2**30 == pytest.approx(7.48, abs=0.005)
    assert tpu.usable_memory(V3) / 2**30 == pytest.approx(15.48, abs=0.005)


def test_without_libtpu_it_says_where_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setattr(tpu, "BESIDE", tmp_path / "nothing")
    monkeypatch.delenv("TPU_LIBRARY_PATH", raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="make tpu-compile"):
        tpu.compile_only_devices(slice_named("v2-8"))


@pytest.mark.parametrize("name", ["h100-8", "cpu-2"])
def test_only_tpus_can_be_compiled_for(name):
    with pytest.raises(InputError, match=rf"{name}: .*launch/train.py --slice={name} --dry_run"):
        tpu.compile_only_devices(slice_named(name))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--slice=nonsense"], "--slice=nonsense: no such slice"),
        (["--slice=h100-8"], "h100-8: only for slices of TPUs"),
        (["--out=/dev/null/x"], "--out=/dev/null/x: Not a directory"),
    ],
)
def test_the_table_s_bad_flags_are_named(flags, message, capsys):
    assert tpu_table.main(flags) == 2
    assert message in capsys.readouterr().err


EVERY_SLICE = """
from benchmarks import tpu
from cluster.slices import SLICES

for place in [place for place in SLICES if place.generation.resource == "TPU"]:
    hosts = [device.process_index for device in tpu.compile_only_devices(place)]
    assert hosts == [host for host in range(place.hosts) for _ in range(place.generation.devices_per_host)], place
"""


@needs_libtpu
def test_the_compiler_knows_every_slice_of_the_table_host_by_host():
    done = python("-c", EVERY_SLICE)
    assert done.returncode == 0, done.stderr
