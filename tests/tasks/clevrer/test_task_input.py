"""What CLEVRER's task reports about data and settings that do not fit, and how it continues with the rest."""

import numpy as np
import pytest

from aloe.data import latents
from aloe.data.streams import host_batches
from aloe.errors import InputError
from aloe.tasks.clevrer import check, vocabulary
from aloe.tasks.clevrer import task as clevrer
from aloe.tasks.clevrer.task import CHOICE, DESCRIPTIVE, UNSUPERVISED
from aloe.training.evaluation import Evaluator
from launch import encode
from tests.tasks.clevrer.encoded import settings
from tests.tasks.clevrer.writer import descriptive, entry, multiple_choice, write_annotation, write_json
from tests.training.test_step import mesh_of


def test_the_objective_is_named_where_it_is_not_known(root, compiled):
    with pytest.raises(InputError, match=r"config.objective.mask = 'one_object'.*did you mean one_object_per_frame"):
        clevrer.make(settings(root, {"objective.mask": "one_object"}))
    assert not compiled


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"data.latents": "/nowhere/latents"}, r"/nowhere/latents/train: there is no latents store.*launch/encode.py"),
        ({"model.slots": 7}, r"oracle/train: latents of shape \(128, 8, 16\).*model takes \(128, 7, 16\).*model.slots"),
        ({"model.latent": 12}, r"\(128, 8, 16\).*\(128, 8, 12\)"),
        ({"model.frames": 129}, r"config.model.frames, 129, .*128"),
        ({"model.relative_form": "causal"}, r"model.relative_form"),
        ({"objective.mask": "infill_scenes"}, r"config.objective.buffer = 3.* 9 frames.* config.model.frames = 3"),
        ({"data.labelled_fraction": 0.0}, r"config.data.labelled_fraction = 0.0"),
    ],
)
def test_what_does_not_fit_the_data_is_named_before_anything_is_compiled(root, compiled, overrides, message):
    with pytest.raises(InputError, match=message):
        clevrer.make(settings(root, overrides)).streams()
    assert not compiled


@pytest.mark.parametrize("split", ["train", "validation"])
def test_a_split_that_is_missing_is_named(root, tmp_path, split):
    for name in {"train", "validation"} - {split}:
        (tmp_path / f"{name}.json").symlink_to(root / f"{name}.json")
    (tmp_path / "latents").symlink_to(root / "latents")
    with pytest.raises(InputError, match=rf"{tmp_path}: no {split}.json"):
        clevrer.make(settings(tmp_path))


def plain_world(root, train, validation, absent=()):
    """Writes question entries by split, with noise as latents for all videos except the absent ones."""
    for split, entries in (("train", train), ("validation", validation)):
        write_json(root / f"{split}.json", entries)
        indices = [record["scene_index"] for record in entries]
        store = latents.create(root / "latents" / "oracle" / split, indices, range(128), 8, 16, {"name": "noise"})
        there = [index for index in indices if index not in absent]
        store.write(there, np.random.default_rng(0).normal(size=(len(there), 128, 8, 16)))
    return root


def test_a_video_without_latents_is_named_and_left_out_of_a_large_set(tmp_path, capsys):
    root = plain_world(tmp_path, [entry(index) for index in range(100)], [entry(200), entry(201)], absent=[41])
    task = clevrer.make(settings(root))
    assert "1 of 100 videos are missing or broken" in (printed := capsys.readouterr().out)
    assert "no latents of video 41" in printed
    assert [len(task.questions("train")[group]) for group in (DESCRIPTIVE, CHOICE)] == [99, 99]
    epoch = task.streams()[UNSUPERVISED].dataset
    assert len({epoch[place]["latents"].tobytes() for place in range(99)}) == 99


def test_more_videos_without_latents_than_the_limit_stop_it(tmp_path, compiled):
    root = plain_world(tmp_path, [entry(index) for index in range(100)], [entry(200), entry(201)], absent=[41, 7])
    with pytest.raises(InputError, match=r"2 of 100 videos .* at most 1 may be(.*\n)+.*video 7; run python launch/enc"):
        clevrer.make(settings(root))
    assert not compiled


def test_a_stream_without_examples_is_named(tmp_path, compiled):
    """The only labelled video has no multiple-choice questions."""
    root = plain_world(tmp_path, [entry(index, [descriptive()]) for index in range(4)], [entry(200), entry(201)])
    with pytest.raises(InputError, match=rf"{root}: .* no choice examples with config.data.labelled_fraction = 0.01"):
        clevrer.make(settings(root, {"data.labelled_fraction": 0.01})).streams()
    assert not compiled


@pytest.mark.parametrize(("kind", "absent"), [(descriptive, CHOICE), (multiple_choice, DESCRIPTIVE)])
def test_a_validation_split_without_one_kind_of_questions_is_scored_on_the_other(tmp_path, model, kind, absent):
    root = plain_world(tmp_path, [entry(0), entry(1)], [entry(200, [kind(0)]), entry(201, [kind(0)])])
    task, (graphdef, params) = clevrer.make(settings(root)), model
    evaluator = Evaluator(task, graphdef, mesh_of(1), 4)
    own, shuffled = (evaluator.predictions(params, "validation", shuffled=each) for each in (False, True))
    assert len(own[absent]) == 0
    assert len(task.scores("validation", own)) == (1 if absent == CHOICE else 2)
    assert "2" in task.comparison("validation")(own, shuffled).table


def test_videos_are_told_by_scene_index_whatever_their_place_in_the_list_and_in_the_store(tmp_path):
    root = plain_world(tmp_path, [entry(0), entry(1)], [entry(index) for index in (9000, 200, 201)])
    path = root / "latents" / "oracle" / "elsewhere" / "validation"
    store = latents.create(path, [201, 9000, 200, 7], range(128), 8, 16, {"name": "numbered"})
    store.write([9000, 7, 201, 200], np.array([9000, 7, 201, 200])[:, None, None, None] * np.ones((1, 128, 8, 16)))
    path.parent.joinpath("train").symlink_to(root / "latents" / "oracle" / "train")
    task = clevrer.make(settings(root, {"data.latents": str(path.parent)}))
    for group in (DESCRIPTIVE, CHOICE):
        examples = task.evaluation("validation")[group]
        assert [record.scene_index for record in task.questions("validation")[group]] == [9000, 200, 201]
        assert [set(example["latents"].flat) for example in examples] == [{9000.0}, {200.0}, {201.0}]


def numbered_frames(root, frame_numbers):
    """Latents in which every value is the frame number."""
    for split, indices in (("train", [0, 1]), ("validation", [200, 201])):
        path = root / "latents" / "numbered" / split
        store = latents.create(path, indices, frame_numbers, 8, 16, {"name": "numbered"})
        frames_VxF = np.broadcast_to(frame_numbers, (2, len(frame_numbers)))
        store.write(indices, np.broadcast_to(frames_VxF[..., None, None], (*frames_VxF.shape, 8, 16)))
    return plain_world(root, [entry(0), entry(1)], [entry(200), entry(201)])


@pytest.mark.parametrize("stored", [range(128), range(0, 128, 16)])
def test_of_some_frames_a_video_examples_are_made_whatever_else_is_stored(tmp_path, stored):
    root = numbered_frames(tmp_path, stored)
    task = clevrer.make(settings(root, {"data.encoder": "numbered", "data.frames_per_video": 8, "model.frames": 4}))

    def shown(example):
        return example["latents"][:, 0, 0].tolist()

    dataset = task.streams()[DESCRIPTIVE].dataset
    drawn = [shown(dataset[place]) for place in range(60)]
    assert all(frames == sorted(set(frames)) and len(frames) == 4 for frames in drawn)
    assert {number for frames in drawn for number in frames} == set(range(0, 128, 16))
    assert {tuple(shown(example)) for example in task.evaluation("validation")[DESCRIPTIVE]} == {(0, 32, 64, 96)}


def test_a_store_that_lacks_a_frame_is_refused(tmp_path, compiled):
    root = numbered_frames(tmp_path, range(0, 128, 16))
    with pytest.raises(InputError, match=r"latents of 8 frames of each video, and frame 12, of 10 that are wanted"):
        clevrer.make(settings(root, {"data.encoder": "numbered", "data.frames_per_video": 10}))
    assert not compiled


def odd_questions():
    """As in real files: no subtype, and questions with no, some or all choices correct, or without choices."""
    first = descriptive(0, answer="yes", text="Are there any metal cubes that are moving?")
    del first["question_subtype"]
    labels = [(False,), (True,), (False,) * 4, (True,) * 4, (), (True, False, True)]
    kinds = ["explanatory", "counterfactual"] * 3
    return [
        first,
        *(multiple_choice(1 + n, kind, each) for n, (kind, each) in enumerate(zip(kinds, labels, strict=True))),
    ]


def test_a_copy_with_the_oddities_of_real_ones_is_checked_encoded_and_scored(tmp_path, capsys):
    """One annotation in a hundred ends early, another has eight objects; lists are not sorted."""
    indices = {"train": list(range(100, 0, -1)), "validation": [10_800, 10_799]}
    for split, folder in (("train", "annotation_train"), ("validation", "val")):
        write_json(tmp_path / f"{split}.json", [entry(index, odd_questions()) for index in indices[split]])
        for index in indices[split]:
            write_annotation(
                tmp_path, index, folder, objects=8 if index == 10_800 else 2, frames=114 if index == 9 else 128
            )
    findings = check.check(tmp_path)
    assert not findings.problems
    assert any("annotation_00009.json: field 'motion_trajectory' has 114 frames" in note for note in findings.notes)
    encode.main(["--task=clevrer", f"--data={tmp_path}", "--workers=1"])
    task = clevrer.make(settings(tmp_path))
    assert "no latents of video 9;" in capsys.readouterr().out
    assert [len(records) for records in task.questions("train").values()] == [99, 5 * 99]
    batch = next(host_batches(task.streams(), first_step=0, host=0, hosts=1))
    for rows in batch.values():
        assert all(np.isfinite(field).all() for field in rows.values())
    right = {
        DESCRIPTIVE: [vocabulary.answer_id("yes")] * 2,
        CHOICE: [
            [1.0 if choice.correct else -1.0 for choice in record.question.choices]
            for record in task.questions("validation")[CHOICE]
        ],
    }
    assert set(task.scores("validation", right).values()) == {100.0}


def test_latents_that_are_damaged_are_named_when_they_are_read(tmp_path):
    root = plain_world(tmp_path, [entry(0), entry(1)], [entry(200), entry(201)])
    task = clevrer.make(settings(root))
    for path in (root / "latents" / "oracle" / "train" / "c").rglob("*"):
        if path.is_file():
            path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(InputError, match=r"oracle/train.* video [01] "):
        next(host_batches(task.streams(), first_step=0, host=0, hosts=1))
