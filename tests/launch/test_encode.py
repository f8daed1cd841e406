import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from aloe.data import latents
from aloe.errors import InputError
from aloe.tasks.clevrer import files, oracle
from launch import encode
from tests.tasks.clevrer.writer import entry, write_annotation, write_json, write_world

ROOT = Path(__file__).parents[2]


@pytest.fixture
def world(tmp_path):
    return write_world(tmp_path / "world", train=5, validation=3, test=2, videos=False)


def test_it_fills_a_store_for_each_split(world, capsys):
    encode.main(["--task=clevrer", f"--data={world}"])
    paths = files.find_annotations(world)
    for split in ("train", "validation"):
        store = latents.open(world / "latents" / "oracle" / split, oracle.Encoder(world).description)
        assert store.scene_indices.tolist() == files.scene_indices(world, split)
        for index in store.scene_indices:
            np.testing.assert_array_equal(store.read(index), oracle.encode(files.read_annotation(paths[index])))
    assert not (world / "latents" / "oracle" / "test").exists()
    assert "train: 5 videos" in capsys.readouterr().out


def test_flags_choose_splits_and_folder(world, tmp_path):
    encode.main(["--task=clevrer", f"--data={world}", "--splits=validation", f"--latents={tmp_path / 'elsewhere'}"])
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["validation"]


def test_processes_give_the_same_latents(world, tmp_path):
    for workers in (1, 2):
        folder = tmp_path / str(workers)
        encode.main(["--task=clevrer", f"--data={world}", f"--workers={workers}", f"--latents={folder}"])
    one, two = (latents.open(tmp_path / str(workers) / "train") for workers in (1, 2))
    for index in one.scene_indices:
        np.testing.assert_array_equal(one.read(index), two.read(index))


def test_a_second_run_encodes_what_is_absent(world, capsys):
    broken = files.find_annotations(world)[2]
    whole = broken.read_bytes()
    broken.write_bytes(whole[:1000])
    encode.main(["--task=clevrer", f"--data={world}", "--broken_limit=0.2"])
    assert "train: 4 videos\n1 of 5 videos of the train split are missing or broken" in capsys.readouterr().out
    broken.write_bytes(whole)
    encode.main(["--task=clevrer", f"--data={world}"])
    assert latents.open(world / "latents" / "oracle" / "train").missing().size == 0


def test_a_broken_annotation_in_a_small_set_stops_it(world):
    broken = files.find_annotations(world)[2]
    broken.write_text("{")
    with pytest.raises(InputError, match=rf"1 of 5 .*at most 0(.*\n)+.*{broken.name}: not valid JSON at line 1"):
        encode.main(["--task=clevrer", f"--data={world}"])


def test_videos_with_too_many_objects_are_counted(tmp_path, capsys):
    write_json(tmp_path / "train.json", [entry(0), entry(1)])
    write_annotation(tmp_path, 0, objects=3)
    write_annotation(tmp_path, 1, objects=20)
    encode.main(["--task=clevrer", f"--data={tmp_path}", "--splits=train"])
    assert "128 frames of 1 videos show more than 8 objects" in capsys.readouterr().out


def run(*argv):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, str(ROOT / "launch/encode.py"), *argv], env=environment, capture_output=True, text=True
    )


def test_bad_input_leaves_with_status_2_and_the_message_alone(tmp_path):
    done = run("--task=clevrer", f"--data={tmp_path / 'nowhere'}")
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {tmp_path / 'nowhere'}: there is no such data folder")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--splits=train,valid", "no split 'valid'"),
        ("--task=clever", "did you mean --task=clevrer"),
        ("--encoder=monnet", ""),
        ("--encoder=monet", "--checkpoint=WORKDIR"),
        ("--task=monet", "MONet is what encodes, by --encoder=monet"),
        ("--checkpoint=clevrer_world", "--encoder=oracle has none, and would encode without it; add --encoder=monet"),
    ],
)
def test_flags_that_name_nothing(world, flag, message):
    with pytest.raises((InputError, SystemExit)) as raised:
        encode.main(["--task=clevrer", f"--data={world}", flag])
    assert message in str(raised.value)
    assert 2 in (getattr(raised.value, "exit_status", None), getattr(raised.value, "code", None))
    assert not (world / "latents").exists()


@pytest.mark.parametrize(("task", "frames"), [("acre", 10), ("cater", 300)])
def test_a_task_that_takes_all_frames_is_not_given_fewer(tmp_path, task, frames):
    monet = ["--encoder=monet", "--checkpoint=clevrer_world"]
    flags = [f"--task={task}", f"--data={tmp_path}", *monet, "--frames_per_video=5"]
    with pytest.raises(InputError, match=rf"--frames_per_video=5: .*--task={task} takes .* all {frames} frames"):
        encode.main(flags)
    assert not list(tmp_path.iterdir())
