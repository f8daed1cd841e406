"""The check of what fits a slice, as users run it: what is refused before compiling, the output, the exit status."""

import json
import re

import pytest

from benchmarks import on_slice, tpu
from launch import compile_check
from tests.libtpu import needs_libtpu, python

SMALL = [
    *("--config.model.layers=1", "--config.model.heads=2", "--config.model.frames=3", "--config.model.hidden=16"),
    *("--config.objective.weight=0", "--config.batch.evaluation=8"),
]


@pytest.fixture
def refused(call, monkeypatch):
    """Runs the command, which must refuse without compiling anything; returns its message on stderr."""
    monkeypatch.setattr(tpu, "compiled", lambda lowered: pytest.fail("compiled"))

    def refused(*argv, **named):
        status, printed, error = call(compile_check, *argv, **named)
        assert (status, printed) == (2, "")
        return error

    return refused


def test_an_unknown_slice(refused):
    assert "no slice is called 'v2-33'; did you mean v2-32?" in refused("--slice=v2-33")


def test_a_slice_of_gpus(refused):
    assert "h100-8: only for slices of TPUs" in refused("--slice=h100-8")


def test_without_libtpu(refused, monkeypatch, tmp_path):
    monkeypatch.setattr(tpu, "BESIDE", tmp_path)
    monkeypatch.delenv("TPU_LIBRARY_PATH", raising=False)
    monkeypatch.setattr(tpu.importlib.util, "find_spec", lambda name: None)
    assert "libtpu is not installed" in refused("--slice=v2-32")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--slice=v2-32", "--config.batch.choice=48"], r"config.batch.choice = 48 .* 32 devices .*; give 32 or 64"),
        (["--slice=v2-8", "--config.batch.choice=0"], r"config.batch.choice = 0: .* at least 1"),
        (["--slice=v2-8", "--data=nowhere"], r"/nowhere: there is no such data folder"),
        (["--slice=v2-8", "--config.model.layer=1"], r"did you mean model.layers"),
        (["--slice=v2-8", "--variant=papr"], r"did you mean paper"),
    ],
)
def test_bad_input(refused, monkeypatch, flags, message):
    monkeypatch.setattr(tpu, "compile_only_devices", lambda place: [None] * place.devices)
    monkeypatch.setattr(on_slice, "make_run", of_one_device(on_slice.make_run))
    assert re.search(message, refused(*flags))


def of_one_device(make_run):
    return lambda config, devices: make_run(config, compile_check.tpu.jax.devices()[:1])


def check(*flags):
    return python("launch/compile_check.py", "--task=clevrer", "--slice=v2-8", *SMALL, *flags)


@pytest.mark.slow
@needs_libtpu
def test_what_fits_is_told_by_program():
    done = check("--config.batch.descriptive=16", "--config.batch.choice=8", "--format=json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["does_not_fit"] == {}
    assert list(told["fits"]) == ["train", "evaluate descriptive", "evaluate choice"]
    train, *predict = told["fits"].values()
    assert 0 < train["memory_bytes"] < told["usable_bytes"]
    assert train["all_reduced_bytes"] > 0 == predict[0]["all_reduced_bytes"]
    assert all(each["gflop"] > 0 and each["estimated_ms"] > 0 for each in told["fits"].values())
    assert "compiling for v2-8: 100%" in done.stderr


@pytest.mark.slow
@needs_libtpu
def test_what_does_not_fit_is_refused_with_what_would_help():
    done = check("--config.batch.descriptive=262144", "--config.batch.choice=131072")
    assert done.returncode == 1, done.stderr
    said = re.search(r"train does not fit: ([\d.]+) of 7\.48 GiB a core; try (.*)", done.stdout)
    assert said, done.stdout
    assert float(said[1]) > 7.48
    mends = said[2].split(", ")
    assert mends[0] == "--config.model.remat=True"
    assert any(flag.startswith("--config.batch.accumulation=") for flag in mends)
    assert re.search(r"^evaluate choice +0\.\d\d ", done.stdout, re.MULTILINE)
