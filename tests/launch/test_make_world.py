import os
import subprocess
import sys
from pathlib import Path

import pytest

from aloe.data import latents
from launch import check_data, encode

ROOT = Path(__file__).parents[2]


def make_world(*flags, folder):
    return subprocess.run(
        [sys.executable, str(ROOT / "launch" / "make_world.py"), *flags],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("flags", "names"),
    [
        (("--task=clevrer", "--videos=2"), "videos=2"),
        (("--task=clevrer", "--videos=4", "--size=96"), "--size=96"),
        (("--task=clevrrer", "--videos=4"), "did you mean --task=clevrer"),
        (("--task=clevrer", "--videos=4", "--sead=1"), "did you mean --seed"),
        (("--task=clevrer", "--videos=4", "--gpu"), "JAX finds no GPU here"),
    ],
)
def test_bad_flags_leave_nothing_behind(tmp_path, flags, names):
    done = make_world(*flags, folder=tmp_path)
    assert done.returncode == 2
    assert names in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_the_default_folder_and_the_table(tmp_path):
    done = make_world("--task=clevrer", "--videos=3", "--size=32x32", "--workers=1", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "data" / "clevrer" / "train.json").exists()
    for word in ("train", "counterfactual", "query_color", "simulate", "data/clevrer"):
        assert word in done.stdout
    assert "3/3" in done.stderr  # the progress bar


def test_the_oracle_needs_no_videos(tmp_path, capsys):
    done = make_world("--task=clevrer", "--videos=3", "--size=32x32", "--without_videos", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    data = tmp_path / "data" / "clevrer"
    assert not list(data.rglob("*.mp4"))
    encode.main(["--task=clevrer", f"--data={data}"])
    check_data.main([str(data)])
    printed = capsys.readouterr().out
    assert "no videos of the train split were found" in printed
    assert "fine" in printed
    for split in ("train", "validation"):
        assert not latents.open(data / "latents" / "oracle" / split).missing().size
