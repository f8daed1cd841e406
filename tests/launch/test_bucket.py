"""The commands with a workdir and latents in a bucket; what cannot be in one is refused, saying what to do."""

import json
import re
from pathlib import Path

import pytest

from aloe import paths
from launch import check_data, encode, evaluate, report, runs, sweep, train
from tests.tasks.clevrer.encoded import flags as small_flags
from tests.tasks.clevrer.encoded import write_encoded

RUN = "gs://fake/runs/one"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return write_encoded(tmp_path_factory.mktemp("world"))


@pytest.mark.slow
def test_a_run_in_a_bucket_is_trained_scored_and_reported_by_the_commands(call, world, bucket):
    stores = world / "latents" / "oracle"
    for file in stores.rglob("*"):
        if file.is_file():
            bucket.put(f"latents/{file.relative_to(stores)}", file.read_bytes(), {})
    where = [f"--data={world}", f"--workdir={RUN}", "--local"]
    settings = small_flags({"training.steps": 3, "training.log_every": 1, "data.latents": "gs://fake/latents"})
    status, out, error = call(train, *where, *settings)
    assert status == 0, error
    assert f"Workdir: {RUN}" in out
    assert json.loads(bucket.text("runs/one/config.json"))["workdir"] == RUN

    status, out, error = call(evaluate, *where)
    assert status == 0, error
    table = json.loads(bucket.text("runs/one/validation-3.json"))
    assert table["step"] == 3
    assert bucket.text("runs/one/validation-3.txt").strip() in out
    status, out, error = call(report, f"--workdir={RUN}", "--goodput", task=None)
    assert status == 0, error
    assert f"{RUN}: 3 steps" in out
    status, out, error = call(report, f"--workdir={RUN}", task=None)
    assert status == 0, error
    assert out.strip() == f"{RUN}/curves.png"
    assert bucket.objects["runs/one/curves.png"].content.startswith(b"\x89PNG")
    assert list(Path.cwd().iterdir()) == []

    before = dict(bucket.objects)
    status, _, error = call(train, *where, *small_flags({"training.steps": 3, "model.layers": 1}))
    assert status == 2
    assert f"{RUN}/config.json: the folder holds a run of another configuration" in error
    assert bucket.objects == before


@pytest.mark.parametrize(
    ("program", "argv", "message"),
    [
        (train, ["--data=gs://b/data"], r"--data=gs://b/data: has to be on a disk; copy it to every host first"),
        (train, ["--workdir=s3://b/run"], r"s3://b/run: neither a folder on a disk nor one in a bucket, gs://"),
        (train, ["--workdir=gs://"], r"gs://: names no bucket; give gs://BUCKET/FOLDER"),
        (train, ["--config.data.frames=gs://b/f"], r"config.data.frames=gs://b/f: has to be on a disk"),
        (train, ["--config.data.latents=s3://b/l"], r"s3://b/l: neither"),
        (encode, ["--data=gs://b/data"], r"--data=gs://b/data: has to be on a disk"),
        (sweep, ["--folder=gs://b/runs", "--local"], r"--queue=gs://b/runs/queue: .* a disk; .*--queue=DIR"),
        (sweep, ["--queue=gs://b/q", "--local"], r"--queue=gs://b/q: has to be on a disk; SQLite and file locks"),
        (runs, ["list", "--queue=gs://b/q"], r"--queue=gs://b/q: has to be on a disk; SQLite and file locks"),
        (check_data, ["gs://b/data"], r"gs://b/data: has to be on a disk"),
    ],
)
def test_what_cannot_be_in_a_bucket_is_refused(call, world, tmp_path, program, argv, message, monkeypatch):
    monkeypatch.setattr(paths, "CLIENT", "json")
    given = [f"--data={world}"] if program in (train, sweep) and not any("--data" in each for each in argv) else []
    local = ["--local"] if program is train else []
    status, _, error = call(
        program, *given, *local, *argv, task=None if program in (runs, check_data) else "--task=clevrer"
    )
    assert status == 2
    assert re.search(message, error), error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("program", [train, evaluate, report, sweep])
def test_without_the_package_that_buckets_take_it_is_named(call, world, tmp_path, program, monkeypatch):
    monkeypatch.setattr(paths, "CLIENT", "gcsfs_that_is_not_there")
    flags = {train: [f"--data={world}", "--local"], report: [], sweep: ["--queue=q", "--local"]}
    folder = "--folder=gs://b/runs" if program is sweep else "--workdir=gs://b/run"
    status, _, error = call(
        program, folder, *flags.get(program, ["--local"]), task=None if program is report else "--task=clevrer"
    )
    assert status == 2
    assert re.search(r"gs://b/runs?: takes gcsfs_that_is_not_there: .*pip install .*\[gcs\]", error), error
    assert list(tmp_path.iterdir()) == []
