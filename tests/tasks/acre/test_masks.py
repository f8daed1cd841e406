"""Exact masks of a world: the same as in its scene files, but at any size."""

import json
import shutil

import numpy as np
import pytest

from aloe.errors import InputError
from aloe.perception.run_lengths import from_runs
from aloe.tasks.acre import files, masks, world
from aloe.tasks.acre.objects import COLORS
from aloe.tasks.acre.problems import PANELS

SIZE = 48


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    out = tmp_path_factory.mktemp("square")
    world.write(out, 5, width=SIZE, height=SIZE, workers=1, regimes="IID")
    return out / "ACRE_IID"


def scene(root, index, panel):
    return json.loads(files.scene_path(root, index, panel).read_text())


def test_they_are_those_that_were_drawn_with_the_pictures(root):
    paths = files.find_annotations(root)
    assert sorted(paths) == sorted(files.find_videos(root))
    for index in sorted(paths)[:2]:
        for panel in range(PANELS):
            objects = scene(root, index, panel)["objects"]
            told = masks.exact(paths[index], [panel], SIZE)
            expected_YxX = np.full((SIZE, SIZE), -1)
            for number, each in enumerate(objects):
                runs = list(map(int, each["mask"].split(",")))
                expected_YxX[from_runs(runs, (SIZE, SIZE), by_columns=False).astype(bool)] = number
            assert (told.object_FxYxX[0] != expected_YxX).mean() < 1e-3  # rotations are stored in degrees
            assert [COLORS[number] for number in told.color_O] == [each["color"] for each in objects]


def test_an_object_has_its_number_in_all_panels(root):
    path = files.find_annotations(root)[0]
    every = masks.exact(path, range(PANELS), 24)
    assert every.object_FxYxX.shape == (PANELS, 24, 24)
    for panel, object_YxX in enumerate(every.object_FxYxX):
        one = masks.exact(path, [panel], 24)
        np.testing.assert_array_equal(object_YxX >= 0, one.object_FxYxX[0] >= 0)
        colors = [every.color_O[number] for number in np.unique(object_YxX[object_YxX >= 0])]
        assert sorted(colors) == sorted(one.color_O[np.unique(one.object_FxYxX[one.object_FxYxX >= 0])])
    finer_YxX = masks.exact(path, [3], 72).object_FxYxX[0, 1::3, 1::3]
    np.testing.assert_array_equal(masks.exact(path, [3], 24).object_FxYxX[0], finer_YxX)


def test_only_worlds_of_our_own_have_them(root, tmp_path):
    assert masks.exist(root)
    assert not masks.exist(tmp_path)


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda objects: objects[0].pop("rotation"), r"_02.json: object 0: field 'rotation' is None; it must be"),
        (lambda objects: objects[0].update(rotation=True), "object 0: field 'rotation' is True"),
        (lambda objects: objects.append(objects[0]), "_02.json: field 'objects' has two that look alike"),
    ],
)
def test_a_broken_scene_is_named(root, tmp_path, damage, named):
    copied = shutil.copytree(root, tmp_path / "world")
    path = files.scene_path(copied, 0, 2)
    record = json.loads(path.read_text())
    damage(record["objects"])
    path.write_text(json.dumps(record))
    found = files.find_annotations(copied)[0]
    masks.exact(found, [1], 16)
    with pytest.raises(InputError, match=named):
        masks.exact(found, [2], 16)
    path.unlink()
    with pytest.raises(InputError, match=r"_02.json: cannot be read"):
        masks.exact(found, [2], 16)
