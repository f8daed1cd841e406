"""The oracle's latents: objects under a cone take no slot, and all features of those seen can be read off."""

import numpy as np
import pytest

from aloe.errors import InputError
from aloe.perception.feature_map import projection
from aloe.tasks.cater import annotations, files, oracle, scenes
from aloe.tasks.cater.annotations import covered


@pytest.fixture(scope="module")
def annotation():
    return scenes.sample(0, 1, hidden=1.0).annotation


def test_what_is_seen_can_be_read_off_and_nothing_else_is_there(annotation):
    latents_FxNxD = oracle.encode(annotation, 1)
    assert latents_FxNxD.shape == (300, 8, 36)
    map_DxA, empty_D = projection(oracle.FEATURES, oracle.SIZE)
    told_FxNxA = latents_FxNxD @ map_DxA
    is_empty_FxN = latents_FxNxD @ empty_D > 8
    wanted_FxOxA = oracle.features(annotation)[:300]
    hidden_FxO = covered(annotation)[:300]
    assert hidden_FxO[:, 0].any()
    for frame in range(0, 300, 7):
        seen = np.flatnonzero(~hidden_FxO[frame])[:8]
        assert (~is_empty_FxN[frame]).sum() == len(seen)
        found = told_FxNxA[frame, ~is_empty_FxN[frame]]
        for number in seen:
            away = abs(found - wanted_FxOxA[frame, number]).max(axis=1)
            assert (away < 1e-4).sum() == 1


def test_the_hidden_snitch_leaves_no_trace():
    """Moving it under its cone does not change the latents."""
    annotation = scenes.sample(0, 1, hidden=1.0).annotation
    hidden_F = covered(annotation)[:, 0]
    moved_FxOx3 = annotation.location_FxOx3.copy()
    moved_FxOx3[hidden_F, 0, :2] += 0.05
    other = annotations.Annotation(annotation.objects, 0, moved_FxOx3)
    one_FxNxD, other_FxNxD = oracle.encode(annotation, 1), oracle.encode(other, 1)
    np.testing.assert_array_equal(one_FxNxD[hidden_F[:300]], other_FxNxD[hidden_F[:300]])
    moved_FxOx3[~hidden_F, 0, :2] += 0.05
    assert (oracle.encode(other, 1)[~hidden_F[:300]] != one_FxNxD[~hidden_F[:300]]).any()


def test_features_are_of_about_the_same_size():
    of_videos = [oracle.features(scenes.sample(0, index).annotation)[::7] for index in range(30)]
    spread_A = np.concatenate([each.reshape(-1, oracle.FEATURES) for each in of_videos]).std(axis=0)
    assert (spread_A > 0.5).all()
    assert (spread_A < 2.5).all()


def test_broken_and_missing_scenes_are_told_and_the_rest_encoded(root, tmp_path):
    folder = tmp_path / "all_actions"
    (folder / "lists" / "localize").mkdir(parents=True)
    (folder / "scenes").mkdir()
    good = files.find_annotations(root)[2]
    (folder / "scenes" / good.name).write_text(good.read_text())
    (folder / "scenes" / "CATER_new_000003.json").write_text("{")
    encoder = oracle.Encoder(tmp_path, workers=1)
    good, broken, missing = encoder.encode([2, 3, 4])
    np.testing.assert_array_equal(good, oracle.encode(annotations.read_annotation(files.find_annotations(root)[2]), 2))
    assert isinstance(broken, InputError)
    assert "CATER_new_000003.json: not valid JSON" in str(broken)
    assert "no scenes/CATER_new_000004.json of the static camera" in str(missing)


def test_crowded_videos_are_counted(root):
    encoder = oracle.Encoder(root, workers=1)
    indices = files.scene_indices(root, "train")
    list(encoder.encode(indices))
    paths = files.find_annotations(root)
    crowded = [(oracle.seen(annotations.read_annotation(paths[index])).sum(axis=1) > 8).any() for index in indices]
    assert sum(crowded)
    assert encoder.remarks() == [
        f"{sum(crowded)} videos have frames that show more than 8 objects; the first 8 were kept"
    ]
