import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from aloe.data import latents
from aloe.errors import InputError
from aloe.tasks.clevrer import files
from launch import check_data, encode
from tests.tasks.clevrer.writer import (
    descriptive,
    entry,
    multiple_choice,
    write_annotation,
    write_json,
    write_video,
    write_world,
)

ROOT = Path(__file__).parents[2]


@pytest.fixture
def world(tmp_path):
    return write_world(tmp_path / "world", train=3, validation=2, test=1)


def rows(printed):
    """Numbers of the printed table, by row name."""
    lines = printed.splitlines()
    body = lines[next(number for number, line in enumerate(lines) if line.startswith("---")) + 1 :]
    found = [re.fullmatch(r"(.*?\S)\s{2,}([\d ]+)", line) for line in body]
    return {match[1]: [int(figure) for figure in match[2].split()] for match in found if match}


def test_a_whole_world_is_fine(world, capsys):
    encode.main(["--task=clevrer", f"--data={world}"])
    check_data.main([str(world), "--decode"])
    printed = capsys.readouterr().out
    counted = rows(printed)
    assert counted["videos asked about"] == [3, 2, 1]
    assert counted["videos"] == [3, 2, 1]
    assert counted["annotations"] == [3, 2]
    assert counted["questions"] == [6, 4, 2]
    assert counted["latents/oracle"] == [3, 2]
    assert counted["videos missing or broken"] == [0, 0, 0]
    assert "fine" in printed


def test_questions_are_counted_by_type_subtype_and_option(tmp_path, capsys):
    questions = [
        descriptive(0, subtype="exist", answer="yes"),
        descriptive(1, subtype="query_color", answer="red"),
        descriptive(2, subtype=None),
        multiple_choice(3, "explanatory", (True, True, True, False)),
        multiple_choice(4, "explanatory", (False,)),
        multiple_choice(5, "counterfactual", ()),
    ]
    for split in ("train", "validation"):
        write_json(tmp_path / f"{split}.json", [entry(0, questions[: 6 if split == "train" else 1])])
    check_data.main([str(tmp_path)])
    counted = rows(capsys.readouterr().out)
    expected = {
        "questions": [6, 1],
        "descriptive": [3, 1],
        "- exist": [1, 1],
        "- query_color": [1, 0],
        "- count": [0, 0],
        "- no subtype": [1, 0],
        "explanatory": [2, 0],
        "predictive": [0, 0],
        "counterfactual": [1, 0],
        "options": [5, 0],
        "- correct": [3, 0],
        "multiple choice without options": [1, 0],
    }
    assert {row: counted[row] for row in expected} == expected


def problems(world, *flags):
    with pytest.raises(InputError) as raised:
        check_data.main([str(world), *flags])
    return str(raised.value)


def test_every_problem_is_listed_with_its_file(world):
    encode.main(["--task=clevrer", f"--data={world}"])
    train = json.loads((world / "train.json").read_text())
    train[1]["questions"][0]["question"] = "How many collsions happen?"
    train[2]["questions"][1]["choices"][0]["answer"] = "right"
    train.append(entry(77))
    write_json(world / "train.json", train)
    (world / "validation.json").write_text("[")
    write_video(files.find_videos(world)[0], frames=100)
    found = problems(world)
    for expected in (
        r"train.json: scene_index 1: question_id 0: question 'How many collsions happen\?': 'collsions'.*'collisions'",
        r"train.json: scene_index 2: question_id 1: choice_id 0: field 'answer' is 'right'",
        r"validation.json: not valid JSON at line 1, column 2",
        r"2 of 4 videos of the train split are missing or broken; at most 0 may be",
        r"video_00000.mp4: expected 128 or more frames, found 100",
        r"no video of scene_index 77",
        r"no annotation of scene_index 77",
        r"1 of 4 videos of the train split in .*latents/oracle/train are missing or broken",
        r"scene_index 77 has no latents; launch/encode.py",
    ):
        assert re.search(expected, found), (expected, found)


def test_only_decoding_finds_damage_inside_a_video(world):
    path = files.find_videos(world)[1]
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    check_data.main([str(world)])
    assert re.search(r"video_00001.mp4: expected 128 or more frames, found \d+\.", problems(world, "--decode"))


def test_a_video_of_another_size_is_named_with_the_mend(world):
    path = files.find_videos(world)[1]
    write_video(path, columns=64)
    assert f"{path}: 64×32 pixels, and others have 48×32; delete it, and unpack its archive anew" in problems(world)


def test_a_single_broken_file_of_a_large_set_is_noted_and_no_problem(tmp_path, capsys):
    for split, indices in (("train", range(100)), ("validation", [100])):
        write_json(tmp_path / f"{split}.json", [entry(index) for index in indices])
        for index in indices:
            write_annotation(tmp_path, index, objects=2)
    files.find_annotations(tmp_path)[42].write_text("{}")
    check_data.main([str(tmp_path)])
    printed = capsys.readouterr().out
    assert "note: 1 of 100 annotations of the train split are missing or broken; at most 1 may be" in printed
    assert "annotation_00042.json: field 'scene_index' is missing" in printed
    assert "2 of 100" not in printed
    assert "2 of 100" in problems_after_breaking(tmp_path, 43)
    check_data.main([str(tmp_path), "--broken_limit=0.02"])


@pytest.mark.parametrize(
    ("harm", "problem"),
    [
        (Path.unlink, "no video of scene_index {index} was found"),
        (lambda path: write_video(path, frames=115), "video_{index:05d}.mp4: expected 128 or more frames, found 115"),
        (lambda path: path.write_bytes(path.read_bytes()[:500]), "video_{index:05d}.mp4: expected 128 or more"),
    ],
)
def test_a_copy_of_a_large_set_may_lack_a_video_or_have_a_short_or_broken_one(tmp_path, harm, problem, capsys):
    """Re-hosted copies do: one in a hundred is a note, two are a problem."""
    indices = range(13_400, 13_500)
    write_json(tmp_path / "train.json", [entry(0)])
    write_json(tmp_path / "validation.json", [entry(index) for index in indices])
    videos = {index: tmp_path / "val" / f"video_{index:05d}.mp4" for index in indices}
    whole = write_video(tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "val").mkdir()
    for path in videos.values():
        path.write_bytes(whole)
    harm(videos[13_446])
    check_data.main([str(tmp_path)])
    printed = capsys.readouterr().out
    assert "note: 1 of 100 videos of the validation split are missing or broken; at most 1 may be" in printed
    assert problem.format(index=13_446) in printed
    harm(videos[13_447])
    found = problems(tmp_path)
    assert "2 of 100 videos of the validation split" in found
    assert problem.format(index=13_447) in found


def problems_after_breaking(root, index):
    files.find_annotations(root)[index].write_text("{}")
    return problems(root)


def test_a_damaged_store_is_a_problem(world):
    encode.main(["--task=clevrer", f"--data={world}"])
    (world / "latents" / "oracle" / "train" / "zarr.json").write_text("")
    assert re.search(r"oracle/train: the latents store cannot be opened", problems(world))


@pytest.mark.parametrize(("numbers", "told"), [(range(0, 128, 8), "has 16 of the 128 frames"), ([0, 128], None)])
def test_a_store_of_some_frames_is_no_problem_and_one_of_others_is(world, capsys, numbers, told):
    store = latents.create(world / "latents" / "some" / "validation", [3, 4], numbers, 8, 16, {"name": "noise"})
    store.write([3, 4], np.zeros((2, len(numbers), 8, 16)))
    if told:
        check_data.main([str(world)])
        assert told in capsys.readouterr().out
    else:
        assert "has a frame 128, and a video has 128" in problems(world)


def test_no_test_split_and_no_videos_are_no_problem(tmp_path, capsys):
    world = write_world(tmp_path, videos=False)
    (world / "test.json").unlink()
    check_data.main([str(world)])
    printed = capsys.readouterr().out
    assert re.search(r"note: no test.json", printed)
    assert "note: no videos of the train split were found" in printed


def test_a_broken_test_split_is_a_problem(world):
    (world / "test.json").write_text("{}")
    assert "test.json: the file must be a list" in problems(world)


def test_exit_status(world, tmp_path):
    def status(folder):
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, str(ROOT / "launch/check_data.py"), str(folder)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert "Traceback" not in done.stderr
        return done.returncode

    assert status(world) == 0
    (world / "validation.json").unlink()
    assert status(world) == 2
    assert status(tmp_path / "nowhere") == 2
