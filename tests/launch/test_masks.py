"""Masks made by the command, from every source; what they cannot be made from; and an example that contains them."""

import json
import re
import shutil

import numpy as np
import pytest

from aloe.data import masks as store
from aloe.errors import InputError
from aloe.perception.monet import trained
from aloe.perception.monet.encoder import Encoder, packed_masks
from aloe.perception.run_lengths import coco_mask
from aloe.tasks.clevrer import files, task, world
from aloe.tasks.clevrer import masks as exact_masks
from launch import masks
from tests.perception.monet.test_encoder import save_run
from tests.tasks.clevrer.encoded import settings
from tests.tasks.clevrer.writer import write_json
from tests.tasks.monet.squares import write_squares

NUMBERS = [0, 32, 64, 96]
SMALL = {"perception.size": 32, "data.frames_per_video": 4, "model.frames": 3, "batch.descriptive": 8}


@pytest.fixture(scope="module")
def drawn_world(tmp_path_factory):
    root = tmp_path_factory.mktemp("world") / "world"
    world.write(root, 3, width=32, height=32, workers=1)
    return root


def flags(root, **changes):
    given = [f"--config.{name}={value}" for name, value in (SMALL | changes).items()]
    return ["--task=clevrer", "--variant=masked_frames", f"--data={root}", *given]


def opened(root, name, split="train", slots=8):
    indices = files.scene_indices(root, split)
    return indices, store.open(root / "frames" / "32x32-4", split, name, indices, NUMBERS, 32, slots)


def shapes(packed_YxXxP):
    """The masks of all slots of a frame, in an order that depends on nothing else: an example reorders its slots."""
    return sorted(mask_YxX.tobytes() for mask_YxX in np.asarray(store.unpack(packed_YxXxP[None], 8))[0])


def write_proposals(root):
    """Writes the world's exact masks as proposals of a detector that finds every object but the one in slot 0."""
    for index, path in files.find_annotations(root).items():
        mask_FxNxYxX = exact_masks.by_slot(path, range(128), 32, 8)

        def counts(mask_YxX):
            column = mask_YxX.T.ravel()
            ends = [*(np.flatnonzero(np.diff(column)) + 1).tolist(), column.size]
            lengths = np.diff([0, *ends]).tolist()
            return [0, *lengths] if column[0] else lengths

        frames = [
            {
                "frame_index": number,
                "objects": [
                    {
                        "mask": {"size": [32, 32], "counts": counts(mask)},
                        "color": "red",
                        "material": "metal",
                        "shape": "cube",
                        "score": 0.9,
                    }
                    for mask in mask_NxYxX[1:]
                    if mask.any()
                ],
            }
            for number, mask_NxYxX in enumerate(mask_FxNxYxX)
        ]
        assert all(coco_mask(each["mask"]).any() for frame in frames for each in frame["objects"])
        write_json(root / "proposals" / f"proposal_{index:05d}.json", {"frames": frames})


def test_exact_masks_and_a_batch_that_shows_them(drawn_world):
    masks.main(flags(drawn_world))
    for split in ("train", "validation"):
        indices, found = opened(drawn_world, "exact", split)
        for index in indices:
            expected = exact_masks.by_slot(files.find_annotations(drawn_world)[index], NUMBERS, 32, 8)
            np.testing.assert_array_equal(store.unpack(found.read(index, np.arange(4)), 8), expected)
            assert expected.any()
    made = task.make(settings(drawn_world, SMALL, "masked_frames"))  # which decodes the frames
    example = made.streams()["unsupervised"].dataset[0]
    assert (example["image"].shape, example["masks"].shape) == ((3, 32, 32, 3), (3, 32, 32, 1))
    (index,), found = opened(drawn_world, "exact")
    stored = [shapes(packed) for packed in found.read(index, np.arange(4))]
    assert all(shapes(packed) in stored for packed in example["masks"])


def test_proposals_take_slots_in_their_order(drawn_world):
    write_proposals(drawn_world)
    masks.main([*flags(drawn_world, **{"data.masks": "proposals"}), "--splits=train"])
    indices, found = opened(drawn_world, "proposals")
    for index in indices:
        expected = exact_masks.by_slot(files.find_annotations(drawn_world)[index], NUMBERS, 32, 8)
        made = np.asarray(store.unpack(found.read(index, np.arange(4)), 8))
        for frame in range(4):
            seen = [mask for mask in expected[frame, 1:] if mask.any()]
            np.testing.assert_array_equal(made[frame, : len(seen)], np.array(seen).reshape(-1, 32, 32))
            assert not made[frame, len(seen) :].any()


def test_masks_of_a_monet(tmp_path, capsys):
    root = write_squares(tmp_path / "squares", train=2, validation=1)
    run = save_run(tmp_path / "run", seed=0)
    sizes = {"data.masks": "monet", "perception.size": 16, "model.slots": 3}
    given = flags(root, **sizes)
    with pytest.raises(InputError, match="--checkpoint=WORKDIR"):
        masks.main(given)
    wrong = "a MONet of 3 slots and 16 pixels a side, and config.model.slots = 4, config.perception.size = 16"
    with pytest.raises(InputError, match=re.escape(wrong)):
        masks.main([*flags(root, **sizes | {"model.slots": 4}), f"--checkpoint={run}"])
    assert not (root / "frames").exists()
    masks.main([*given, f"--checkpoint={run}"])
    made_by = trained.of_run(run)
    name = f"monet-{made_by.description['checksum']}"
    assert capsys.readouterr().out.endswith(f"\nTrain on them with --config.data.masks={name}\n")
    found = store.open(root / "frames" / "16x16-4", "train", name, [0, 1], NUMBERS, 16, 3)
    expected = list(Encoder(made_by, files.find_videos(root), NUMBERS, made=packed_masks).encode([0, 1]))
    np.testing.assert_array_equal([found.read(index, np.arange(4)) for index in (0, 1)], expected)
    record = json.loads((root / "frames" / "16x16-4" / f"train_{name}_masks.json").read_text())
    assert record["source"] == made_by.description
    assert record["source"]["step"] == 1


def test_masks_of_another_monet_leave_those_that_are_there_alone(tmp_path):
    """And training on masks requires saying which of the two."""
    root = write_squares(tmp_path / "squares", train=1, validation=1)
    sizes = {"perception.size": 16, "model.slots": 3}
    runs = [save_run(tmp_path / f"run-{seed}", seed) for seed in (0, 1)]
    names = [f"monet-{trained.of_run(run).description['checksum']}" for run in runs]
    folder = root / "frames" / "16x16-4"
    masks.main([*flags(root, **sizes | {"data.masks": "monet"}), f"--checkpoint={runs[0]}"])
    first = (folder / f"train_{names[0]}_masks.npy").read_bytes()
    other = [*flags(root, **sizes | {"data.masks": names[0]}), f"--checkpoint={runs[1]}"]
    with pytest.raises(InputError, match=f"{names[0]}: the masks of .*run-1, after 1 steps, are {names[1]}"):
        masks.main(other)
    masks.main([*flags(root, **sizes | {"data.masks": names[1]}), f"--checkpoint={runs[1]}"])
    assert (folder / f"train_{names[0]}_masks.npy").read_bytes() == first
    settled = settings(root, SMALL | sizes | {"data.masks": "monet"}, "masked_frames")
    with pytest.raises(InputError, match=f"there are, --config.data.masks={', '.join(sorted(names))}"):
        task.make(settled)


def test_the_count_is_of_what_is_there(drawn_world, tmp_path, capsys):
    root = tmp_path / "world"
    shutil.copytree(drawn_world, root, ignore=shutil.ignore_patterns("frames"))
    indices = files.scene_indices(root, "train")
    files.find_annotations(root)[indices[0]].write_text("{")
    masks.main([*flags(root), "--splits=train", "--broken_limit=1"])
    told = capsys.readouterr().out
    assert f"1 of {len(indices)} videos of the train split are missing or broken" in told
    assert f"train_exact_masks.npy: {len(indices) - 1} videos\n" in told


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data.masks": "exakt"}, r"config.data.masks = 'exakt': no such choice; did you mean exact\?"),
        ({"data.masks": "proposals"}, "no file that tells the masks of video 0 was found"),
        ({"data.frames_per_video": 1}, "config.data.frames_per_video = 1: give a number from config.model.frames, 3"),
        ({}, "exact masks are of worlds of our own"),
    ],
)
def test_what_cannot_be_made_is_said_and_nothing_is_written(tmp_path, changes, message):
    root = write_squares(tmp_path / "squares", train=1, validation=1)
    with pytest.raises(InputError, match=message):
        masks.main(flags(root, **changes))
    assert not [path for path in (root / "frames").rglob("*") if path.is_file()]
