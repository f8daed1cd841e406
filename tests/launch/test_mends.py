"""Only flags that apply, and that the estimate says are enough, are recommended."""

import jax
import pytest

from aloe.config import resolve
from aloe.training.checkpoints import byte_count
from benchmarks import on_slice, tpu
from benchmarks.on_slice import Refused
from benchmarks.training import with_data
from cluster.slices import slice_named
from launch.mends import mends

PLACE = slice_named("v2-8")
USABLE = tpu.usable_memory(PLACE.generation)
SMALL = {"model.layers": "1", "model.frames": "3", "batch.evaluation": "40"}


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """A run on eight devices with some fields changed; a core has 12, 12 and 24 examples of the streams."""
    batch = {"batch.descriptive": "96", "batch.choice": "96", "batch.unsupervised": "192"}
    data = with_data(resolve("clevrer", "paper", SMALL), tmp_path_factory.mktemp("data"), videos=2).data.root

    def opened(**fields):
        config = resolve("clevrer", "paper", SMALL | batch | {"data.root": data} | fields)
        return on_slice.open_run(config, PLACE, jax.devices())

    return opened


def refused(run, share, name="train"):
    """A refused program whose other memory takes `share` of what the state leaves."""
    state = run.state_shapes()
    stays = byte_count(state) + (byte_count(state.params) if name == "train" else -4)  # the step counter
    return Refused(name, round(stays + share * (USABLE - stays)))


def test_microbatches_are_as_few_as_may_do_and_divide(opened):
    run = opened()
    assert mends(run, PLACE, refused(run, 1.5)) == [
        "--config.model.remat=True",
        "--config.batch.accumulation=2",
        "--slice=v2-32",
    ]
    assert "--config.batch.accumulation=6" in mends(run, PLACE, refused(run, 4.5)), "5 does not divide 12"
    assert not any("accumulation" in flag for flag in mends(run, PLACE, refused(run, 12.5)))


def test_those_that_there_are_already_count(opened):
    run = opened(**{"batch.accumulation": "3"})
    assert "--config.batch.accumulation=6" in mends(run, PLACE, refused(run, 1.9))
    assert mends(run, PLACE, refused(run, 1.9))[-1] == "--slice=v2-32"


def test_a_slice_must_be_large_enough_and_divide_the_batch(opened):
    run = opened()
    assert not any("slice" in flag for flag in mends(run, PLACE, refused(run, 4.5))), "96 does not divide by 128"
    wide = opened(**{f"batch.{name}": "256" for name in ("descriptive", "choice", "unsupervised")})
    assert mends(wide, PLACE, refused(wide, 4.5))[-1] == "--slice=v2-128"


def test_recomputation_only_where_it_changes_something(opened):
    for fields in ({"model.remat": "True"}, {"model.architecture": "mlp", "model.hidden": "16"}):
        run = opened(**fields)
        assert not any("remat" in flag for flag in mends(run, PLACE, refused(run, 1.5)))


def test_predictions_take_a_smaller_batch(opened):
    run = opened()
    assert mends(run, PLACE, refused(run, 1.5, "evaluate choice"))[0] == "--config.batch.evaluation=24"


def test_nothing_helps_where_the_state_is_too_large(opened):
    run = opened(**{"model.remat": "True"})
    assert mends(run, PLACE, Refused("train", 10**15)) == []


def test_where_the_refusal_tells_no_size_all_that_changes_something_is_named(opened):
    run = opened()
    assert mends(run, PLACE, Refused("train", None)) == [
        "--config.model.remat=True",
        "--config.batch.accumulation=2",
        "--slice=v2-32",
    ]
