import numpy as np
import pytest

from aloe.errors import InputError
from aloe.perception.feature_map import projection
from aloe.tasks.acre import files, oracle
from aloe.tasks.acre.objects import Attributes
from aloe.tasks.acre.problems import CONTEXT, PANELS
from aloe.tasks.acre.scenes import Scene, read_panels


def holds_thing(latents_FxNxD):
    """Which slots hold an object or the machine, judged from the latents alone: empty ones lie along one direction."""
    _, empty_D = projection(oracle.FEATURES, latents_FxNxD.shape[-1])
    return latents_FxNxD @ empty_D / (empty_D @ empty_D) < 0.5


@pytest.fixture(scope="module")
def problems(root):
    return files.read_problems(root, "train")


def test_each_panel_has_a_slot_for_each_object_and_for_the_machine(root, problems):
    encoder = oracle.Encoder(root, workers=1)
    for problem, latents_FxNxD in zip(
        problems, encoder.encode([problem.scene_index for problem in problems]), strict=True
    ):
        assert (latents_FxNxD.shape, latents_FxNxD.dtype) == ((PANELS, 8, 36), np.float32)
        wanted = [len(objects) + (panel < CONTEXT) for panel, objects in enumerate(problem.panels)]
        assert holds_thing(latents_FxNxD).sum(axis=1).tolist() == wanted


def test_what_a_thing_is_and_where_is_linear_in_its_latent(root, problems):
    object_map_DxA, _ = projection(oracle.FEATURES, oracle.SIZE)
    for problem in problems[:5]:
        paths = [files.scene_path(root, problem.scene_index, panel) for panel in range(PANELS)]
        panels = read_panels(paths)
        latents_FxNxD = oracle.encode(panels, problem.scene_index)
        for panel, latents_NxD in zip(panels, latents_FxNxD, strict=True):
            told = latents_NxD[holds_thing(latents_NxD[None])[0]] @ object_map_DxA
            known = oracle.features(panel)
            distance = np.linalg.norm(told[:, None] - known, axis=-1)
            np.testing.assert_allclose(distance.min(axis=1), 0, atol=1e-5)
            assert sorted(distance.argmin(axis=1)) == list(range(len(known)))


def scene(light, *objects):
    return Scene(light, tuple(objects), np.zeros((len(objects), 3)))


CUBE, BALL = Attributes("cube", "red", "metal"), Attributes("sphere", "red", "metal")


def test_features_tell_apart_light_shape_colour_and_material_and_nothing_else():
    on, off, no = (oracle.features(scene(light, CUBE)) for light in ("on", "off", "no"))
    np.testing.assert_array_equal(on[1:], no)
    np.testing.assert_array_equal(off[1:], no)
    assert (on[0] != off[0]).sum() == 2
    others = [BALL, CUBE._replace(color="blue"), CUBE._replace(material="rubber")]
    assert [(oracle.features(scene("no", other)) != no).sum() for other in others] == [2, 2, 2]
    assert no.shape[1] == oracle.FEATURES


def test_features_have_a_variance_of_about_one(root, problems):
    told = []
    for problem in problems:
        paths = [files.scene_path(root, problem.scene_index, panel) for panel in range(CONTEXT, PANELS)]
        told += [oracle.features(panel) for panel in read_panels(paths)]
    features_RxA = np.concatenate(told)
    shapes = slice(2, 2 + len(oracle.KINDS))
    others = np.delete(features_RxA, np.arange(len(features_RxA[0]))[shapes], axis=1)  # queries show no machine
    np.testing.assert_allclose(others.std(axis=0), 1, atol=0.35)
    assert abs(others.mean(axis=0)).max() < 0.35


def test_a_missing_or_broken_scene_is_named_and_the_others_go_on(root, tmp_path):
    (tmp_path / "config").symlink_to(root / "config")
    (tmp_path / "scenes").mkdir()
    for index in (0, 1, 2):
        for panel in range(PANELS):
            path = files.scene_path(root, index, panel)
            (tmp_path / "scenes" / path.name).write_bytes(path.read_bytes())
    files.scene_path(tmp_path, 0, 3).unlink()
    files.scene_path(tmp_path, 2, 9).write_text('{"light_state": "no", "objects": [{"shape": "cone"}]}')
    missing, good, broken = oracle.Encoder(tmp_path).encode([0, 1, 2])
    assert isinstance(missing, InputError)
    assert "ACRE_train_000000_03.json: cannot be read" in str(missing)
    assert isinstance(good, np.ndarray)
    assert isinstance(broken, InputError)
    assert "ACRE_train_000002_09.json: object 0: field 'shape' is 'cone'" in str(broken)


def test_more_things_than_slots_are_refused(tmp_path):
    path = files.scene_path(tmp_path, 0, 0)
    path.parent.mkdir()
    entry = '{"shape": "cube", "color": "red", "material": "metal", "3d_coords": [0, 0, 0]}'
    for panel in range(PANELS):
        objects = ",".join([entry] * (8 if panel == 0 else 1))
        files.scene_path(tmp_path, 0, panel).write_text(f'{{"light_state": "on", "objects": [{objects}]}}')
    (result,) = oracle.Encoder(tmp_path).encode([0])
    assert "ACRE_train_000000: a panel shows 9 things, more than 8" in str(result)
