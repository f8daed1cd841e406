import re

import numpy as np
import pytest

from aloe.errors import InputError
from aloe.tasks.clevrer import files
from aloe.tasks.clevrer.annotations import FRAMES
from aloe.tasks.clevrer.proposals import by_slot, read_proposals, slot_masks
from tests.perception.test_run_lengths import packed, runs_of
from tests.tasks.clevrer.writer import write_json

SHAPE = (8, 12)


def mask_of(number):
    return np.random.default_rng(number).random(SHAPE) < 0.3


def found(number, score=0.9, **changes):
    """One object in a frame, as in the file."""
    mask = {"size": list(SHAPE), "counts": packed(runs_of(mask_of(number).T.ravel()))}
    place = {"video_index": 12, "frame_index": 0}
    return place | {"mask": mask, "color": "red", "material": "metal", "shape": "cube", "score": score} | changes


def record(frames=FRAMES, objects=lambda frame: [found(frame)]):
    listed = [{"frame_index": frame, "objects": objects(frame)} for frame in range(frames)]
    return {"video_index": 12, "video_filename": "video_00012.mp4", "frames": listed}


def test_the_masks_of_every_frame(tmp_path):
    path = write_json(tmp_path / "derender_proposals" / "proposal_00012.json", record())
    assert files.find_proposals(tmp_path) == {12: path}
    proposals = read_proposals(path)
    assert len(proposals) == FRAMES
    for frame, (only,) in enumerate(proposals):
        np.testing.assert_array_equal(only.mask(), mask_of(frame))
        assert (only.color, only.material, only.shape, only.score) == ("red", "metal", "cube", 0.9)


def test_frames_are_known_by_their_number(tmp_path):
    content = record(frames=3)
    content["frames"].reverse()
    proposals = read_proposals(write_json(tmp_path / "a.json", content), frames=3)
    for frame, (only,) in enumerate(proposals):
        np.testing.assert_array_equal(only.mask(), mask_of(frame))


def test_slots_hold_the_objects_with_the_highest_scores_in_order(tmp_path):
    objects = [found(1, 0.5), found(2, 0.9), found(3, 0.4), found(4, 0.8), found(5, 0.8)]
    ((*frame,),) = read_proposals(write_json(tmp_path / "a.json", record(1, lambda _: objects)), frames=1)
    for slots, numbers in ((3, [2, 4, 5]), (4, [1, 2, 4, 5]), (5, [1, 2, 3, 4, 5])):
        np.testing.assert_array_equal(slot_masks(frame, slots, SHAPE), [mask_of(number) for number in numbers])
    masks_NxYxX = slot_masks(frame, 7, SHAPE)
    assert masks_NxYxX.shape == (7, *SHAPE)
    assert not masks_NxYxX[5:].any()
    assert slot_masks([], 2, SHAPE).shape == (2, *SHAPE)
    with pytest.raises(InputError, match=r"object 1: a mask of shape \(8, 12\); the pictures are \(12, 8\)"):
        slot_masks(frame, 1, SHAPE[::-1])


@pytest.mark.parametrize("size", [4, 8, 5, 16])
def test_masks_by_slot_are_those_at_the_centres_of_the_pixels(tmp_path, size):
    def objects(frame):
        return [found(1), found(2, 0.3), found(3)] if frame == 7 else [found(frame)] * (frame != 9)

    path = write_json(tmp_path / "proposal_00012.json", record(objects=objects))
    masks_FxNxYxX = by_slot(path, [2, 7, 9], size, slots=2)
    assert (masks_FxNxYxX.shape, masks_FxNxYxX.dtype) == ((3, 2, size, size), bool)
    assert not masks_FxNxYxX[0, 1].any()
    assert not masks_FxNxYxX[2].any()
    for place, slot, number in ((0, 0, 2), (1, 0, 1), (1, 1, 3)):
        for row, column in np.ndindex(size, size):
            centre = int((row + 0.5) * SHAPE[0] / size), int((column + 0.5) * SHAPE[1] / size)
            assert masks_FxNxYxX[place, slot, row, column] == mask_of(number)[centre]


def test_masks_of_other_shapes_are_told_by_file_and_frame(tmp_path):
    other = {"size": [2, 2], "counts": [4]}
    content = record(objects=lambda frame: [found(0, mask=other) if frame == 3 else found(0)])
    path = write_json(tmp_path / "proposal_00012.json", content)
    with pytest.raises(InputError, match=r"proposal_00012.json: frame 3: object 0: a mask of shape \(2, 2\)"):
        by_slot(path, [0, 3], 4, slots=2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "a.json: [] stands where an object {…} with a field 'frames' must"),
        (record(115), "a.json: 115 frames, without number [115, 116, 117, 118, 119]; it must have 128, from 0 on"),
        (record(129), "a.json: 129 frames"),
        ({"frames": [{"frame_index": 0, "objects": []}] * 2}, "entry 1 of 'frames': field 'frame_index' is 0, which"),
        ({"frames": [{"objects": []}]}, "entry 0 of 'frames': field 'frame_index' is missing"),
        (record(1, lambda _: [found(0, color="pink")]), "'color' is 'pink'"),
        (record(1, lambda _: [found(0, score="high")]), "field 'score' is 'high'; it must be a number"),
        (record(1, lambda _: [found(0, score=float("nan"))]), "field 'score' is nan"),
        (record(1, lambda _: [found(0, mask=None)]), "field 'mask' is missing"),
        (record(1, lambda _: [7]), "7 stands where an object {…} with a field 'mask' must"),
    ],
)
def test_broken_files_are_told_by_place_and_field(tmp_path, content, message):
    with pytest.raises(InputError, match=re.escape(message)):
        read_proposals(write_json(tmp_path / "a.json", content))
