"""Operations count as often as they are executed, batches grow in proportion, and the largest that fits is found."""

import jax
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aloe.config import resolve
from aloe.errors import InputError
from aloe.training.checkpoints import byte_count
from benchmarks import on_slice, tpu
from benchmarks.on_slice import Program, Refused
from benchmarks.programs import Cost
from benchmarks.training import make_run, with_data
from cluster.slices import slice_named

PLACE = slice_named("v2-8")  # as many devices as tests have
SMALL = {
    "model.layers": "3",
    "model.heads": "2",
    "model.frames": "3",
    "model.hidden": "16",
    "batch.descriptive": "16",
    "batch.choice": "16",
    "batch.unsupervised": "32",
    "batch.evaluation": "16",
}


@pytest.fixture
def small(tmp_path):
    """Opens a run of a small configuration with the given fields changed."""
    data = with_data(resolve("clevrer", "paper", SMALL), tmp_path, videos=2).data.root

    def small(**fields):
        config = resolve("clevrer", "paper", SMALL | {"data.root": data} | fields)
        return on_slice.open_run(config, PLACE, jax.devices())

    return small


def operations(run, name=on_slice.TRAIN):
    return on_slice.operations(on_slice.one_core(run.config, PLACE.devices), name)


def test_loops_count_as_often_as_they_run(small):
    """XLA itself counts a loop's body once, so that three layers in a loop would count as one."""
    looped = operations(small(**{"model.loop": "scan"}))
    assert looped == pytest.approx(operations(small(**{"model.loop": "unrolled"})), rel=1e-3)
    assert looped > 2 * operations(small(**{"model.layers": "1"}))


def test_an_lstm_counts_every_token(small):
    frames = {frames: operations(small(**{"model.architecture": "lstm", "model.frames": frames})) for frames in "24"}
    tokens = {frames: 1 + 32 + int(frames) * 8 for frames in "24"}
    assert frames["4"] / frames["2"] == pytest.approx(tokens["4"] / tokens["2"], rel=0.1)


def test_neither_microbatches_nor_recomputation_are_more_work(small):
    plain = operations(small())
    assert operations(small(**{"batch.accumulation": "2"})) == plain
    assert operations(small(**{"model.remat": "True"})) == plain


def test_a_core_has_its_share(small):
    run = small()
    whole = on_slice.operations(make_run(run.config, jax.devices()[:1]), on_slice.TRAIN)
    assert whole / operations(run) == pytest.approx(PLACE.devices, rel=0.1)  # the optimizer's work is not divided
    assert on_slice.names(run) == ["train", "evaluate descriptive", "evaluate choice"]


def test_while_it_predicts_the_optimizer_s_state_lies_there(small):
    run = small()
    assert on_slice.beside(run, "train") == 0
    assert on_slice.beside(run, "evaluate choice") == byte_count(run.state_shapes().opt_state) > 0


def test_a_batch_that_does_not_divide_is_refused(small):
    with pytest.raises(InputError, match=r"config.batch.choice = 12 does not divide by 8 devices"):
        small(**{"batch.choice": "12"})


@pytest.mark.parametrize(
    ("accumulation", "most", "largest"), [(1, 6, (40, 40, 80)), (2, 7, (48, 48, 96)), (2, 2, None)]
)
def test_streams_grow_in_proportion(small, monkeypatch, accumulation, most, largest):
    """Fewer than `most` descriptive examples fit per core; with two microbatches their number must be even."""

    def compiled(lowered):
        rows = lowered.in_avals[0][1]["descriptive"]["answer"].shape[0] // PLACE.devices
        if rows >= most:
            raise tpu.DoesNotFitError("out of memory")
        return rows

    monkeypatch.setattr(tpu, "compiled", compiled)
    monkeypatch.setattr(on_slice, "cost", lambda rows: Cost(0, 1000 * rows, None))
    run = small(**{"model.layers": "1", "batch.accumulation": str(accumulation)})
    known = Program("train", 2000, 1.0, 1, 1.0) if most > 2 else Refused("train", None)
    told = []
    batch = on_slice.largest_batch(run, PLACE, known, lambda *seen: told.append(seen))
    if largest is None:
        assert (batch, told) == (None, []), "an example a core is not two microbatches"
        return
    assert tuple(batch[name] for name in ("descriptive", "choice", "unsupervised")) == largest
    assert {"descriptive": 16, "choice": 16, "unsupervised": 32} not in [tried for tried, _, _ in told], "known"
    assert max(taken for _, taken, _ in told if taken) == 1000 * largest[0] // PLACE.devices
    assert told[-1][2] == 0


@given(most=st.integers(0, 5000), first=st.integers(1, 300))
def test_the_largest_that_fits_is_found(most, first):
    asked = []

    def fits(size, left):
        asked.append((size, left))
        return size <= most

    assert on_slice.largest(fits, first) == most
    assert len({size for size, _ in asked}) == len(asked), "nothing is compiled twice"
    refused = next(place for place, (size, _) in enumerate(asked) if size > most)
    for place in range(refused, len(asked)):
        assert len(asked) - place - 1 <= asked[place][1], "so many more at most"
