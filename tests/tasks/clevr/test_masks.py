"""Exact masks of a world, and masks from a folder."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from aloe.data.claim import MARK
from aloe.data.video import read_frames
from aloe.errors import InputError
from aloe.tasks.clevr import files, masks, placing, proposals
from aloe.tasks.clevr.vocabulary import ATTRIBUTES


def test_exact_masks_lie_where_the_pictures_show_the_objects(drawn):
    """Nearly all centres project into their mask's bounding box, and masks of red objects are red in the picture."""
    inside, changed = 0, 0
    for index in files.scene_indices(drawn, "train")[:6]:
        record = json.loads(files.scene_path(drawn, index).read_text())
        mask_NxYxX = masks.by_slot(files.scene_path(drawn, index), [0], 64, 10)[0]
        (image_YxXx3,) = read_frames(files.image_path(drawn, index), [0], (64, 64))
        camera = placing.view(np.array(record["camera"]), 64, 64)
        for number, one in enumerate(record["objects"]):
            assert mask_NxYxX[number].any()
            rows, columns = np.nonzero(mask_NxYxX[number])
            (u, v), _ = camera.project(np.array(one["3d_coords"]))
            changed += 1
            inside += rows.min() <= v <= rows.max() + 1 and columns.min() <= u <= columns.max() + 1
            if one["color"] == "red":  # unlike the ground and gray objects
                red_Px3 = image_YxXx3[mask_NxYxX[number]].astype(int)
                assert np.median(red_Px3[:, 0] - red_Px3[:, 1]) > 30
        assert not mask_NxYxX[len(record["objects"]) :].any()
        assert mask_NxYxX.sum(0).max() == 1
    assert inside > 0.9 * changed  # except objects whose centre is hidden


def test_exact_masks_tell_colours_and_are_those_of_any_size(drawn):
    index = files.scene_indices(drawn, "validation")[0]
    record = json.loads(files.scene_path(drawn, index).read_text())
    told = masks.exact(files.scene_path(drawn, index), [0], 48)
    assert [ATTRIBUTES["color"][number] for number in told.color_O] == [each["color"] for each in record["objects"]]
    assert told.object_FxYxX.shape == (1, 48, 48)
    finer_YxX = masks.exact(files.scene_path(drawn, index), [0], 144).object_FxYxX[0, 1::3, 1::3]
    np.testing.assert_array_equal(told.object_FxYxX[0], finer_YxX)


def test_only_worlds_of_our_own_have_exact_masks(drawn, tmp_path):
    assert masks.exist(drawn)
    assert sorted(masks.find(drawn)) == sorted(files.find_videos(drawn))
    (tmp_path / "questions").mkdir()
    assert not masks.exist(tmp_path)
    with pytest.raises(InputError, match="exact masks are of worlds of our own"):
        masks.find(tmp_path)
    (tmp_path / MARK).write_text("{}")
    broken = tmp_path / "CLEVR_train_000000.json"
    record = json.loads(files.scene_path(drawn, 0).read_text())
    broken.write_text(json.dumps({name: value for name, value in record.items() if name != "camera"}))
    with pytest.raises(InputError, match=re.escape(f"{broken}: field 'camera' is missing")):
        masks.exact(broken, [0], 16)
    record["objects"][1]["rotation"] = "far"
    broken.write_text(json.dumps(record))
    with pytest.raises(InputError, match=r"field 'rotation' is 'far'"):
        masks.exact(broken, [0], 16)


def test_masks_from_a_folder_number_the_objects(tmp_path):
    number_YxX = np.zeros((20, 30), np.uint8)
    number_YxX[2:6, 3:9], number_YxX[10:20, 21:30] = 1, 3
    path = tmp_path / "masks" / "val" / "CLEVR_val_000007.png"
    path.parent.mkdir(parents=True)
    Image.fromarray(number_YxX).save(path)
    assert proposals.find(tmp_path) == {1_000_007: path}
    mask_NxYxX = proposals.by_slot(path, [0], 10, 4)[0]
    assert mask_NxYxX.shape == (4, 10, 10)
    for slot, number in enumerate((1, 2, 3, 4)):
        np.testing.assert_array_equal(mask_NxYxX[slot], number_YxX[1::2, 1::3] == number)
    assert proposals.by_slot(path, [0], 10, 2)[0].sum() == (number_YxX[1::2, 1::3] == 1).sum()


def test_masks_of_another_size_than_their_image_are_refused(tmp_path):
    path, image = (tmp_path / folder / "train" / "CLEVR_train_000003.png" for folder in ("masks", "images"))
    for each in (path, image):
        each.parent.mkdir(parents=True)
    Image.new("L", (30, 20)).save(path)
    Image.new("RGBA", (30, 20)).save(image)
    assert proposals.by_slot(path, [0], 10, 2).shape == (1, 2, 10, 10)
    Image.new("RGBA", (60, 20)).save(image)
    with pytest.raises(InputError, match=rf"{path}: 30×20 pixels, and {image} has 60×20; masks are as large as"):
        proposals.by_slot(path, [0], 10, 2)


def test_a_folder_without_masks_and_pictures_that_are_none_are_named(tmp_path):
    with pytest.raises(InputError, match=r"masks/train/CLEVR_train_000000.png: neither this file"):
        proposals.find(tmp_path)
    path = tmp_path / "mask.png"
    Image.new("RGB", (8, 8)).save(path)
    with pytest.raises(InputError, match=r"mask\.png: has the mode RGB; masks are 8-bit grey"):
        proposals.by_slot(path, [0], 8, 4)
    path.write_text("no picture")
    with pytest.raises(InputError, match=r"mask\.png: not a whole picture"):
        proposals.by_slot(path, [0], 8, 4)
