"""The oracle's latents: what they encode, and what they depend on."""

import numpy as np
import pytest

from aloe.errors import InputError
from aloe.perception.feature_map import projection
from aloe.tasks.clevr import files, oracle
from aloe.tasks.clevr.oracle import FEATURES, SIZE, SLOTS, Encoder
from aloe.tasks.clevr.vocabulary import ATTRIBUTES


@pytest.fixture(scope="module")
def scenes(root):
    return files.read_scenes(root, "train")


def test_latents_give_back_what_is_told_of_each_object(scenes):
    object_map_DxA, empty_D = projection(FEATURES, SIZE)
    for index, scene in list(scenes.items())[:10]:
        latents_NxD = oracle.encode(scene, index)[0]
        assert latents_NxD.shape == (SLOTS, SIZE)
        filled_N = abs(latents_NxD @ empty_D) < 1
        assert filled_N.sum() == len(scene.objects)
        told_NxA = latents_NxD[filled_N] @ object_map_DxA
        wanted_OxA = oracle.features(scene)
        distance_NxO = np.linalg.norm(told_NxA[:, None] - wanted_OxA[None], axis=-1)
        assert sorted(distance_NxO.argmin(axis=1)) == list(range(len(scene.objects)))
        assert distance_NxO.min(axis=1).max() < 1e-4


def test_relations_and_attributes_are_signs_of_features(scenes):
    for scene in scenes.values():
        features_OxA = oracle.features(scene)
        assert features_OxA.shape == (len(scene.objects), FEATURES)
        for place in range(len(scene.objects)):
            assert set(np.flatnonzero(features_OxA[:, 0] > features_OxA[place, 0])) == scene.related["right"][place]
            assert set(np.flatnonzero(features_OxA[:, 1] > features_OxA[place, 1])) == scene.related["front"][place]
        columns = np.split(features_OxA[:, 2:], np.cumsum([1, 8, 1]), axis=1)
        for column_OxA, (name, values) in zip(columns, ATTRIBUTES.items(), strict=True):
            number_O = (column_OxA[:, 0] > 0).astype(int) if len(values) == 2 else column_OxA.argmax(axis=1)
            assert [values[number] for number in number_O] == [getattr(each, name) for each in scene.objects]


def test_features_are_about_standard(scenes):
    features_OxA = np.concatenate([oracle.features(scene) for scene in scenes.values()])
    assert abs(features_OxA.mean(axis=0)).max() < 0.35
    assert 0.6 < features_OxA.std(axis=0).min() < features_OxA.std(axis=0).max() < 1.4


def test_what_is_not_there_is_named(root):
    encoder = Encoder(root)
    good, missing = encoder.encode([3, 999])
    np.testing.assert_array_equal(good, oracle.encode(files.read_scenes(root, "train")[3], 3))
    assert isinstance(missing, InputError)
    assert "CLEVR_train_scenes.json: no scene of CLEVR_train_000999" in str(missing)
    with pytest.raises(InputError, match="the official set has none of this split either"):
        list(encoder.encode([2_000_000]))
