"""The metrics by hand, and the controls."""

import numpy as np
import pytest

from aloe.tasks.cater import annotations, controls, files, scores
from aloe.tasks.cater.controls import CARRIED, SEEN, STAYED, Ending
from aloe.tasks.cater.files import Video


def one_hot(*cells):
    return np.eye(36)[list(cells)]


def test_l1_by_hand_on_two_videos():
    """Cell 14 is in column 2 and row 2; cell 0 is 2 + 2 away from it; cell 21, in column 3 and row 3, is 1 + 1 away."""
    results = scores.outcomes([Video(0, 14), Video(1, 14)], one_hot(0, 21))
    np.testing.assert_array_equal(results.distance_V, [4, 2])
    assert scores.distances({"static": results}) == {"static_l1": 3.0}


def test_top_1_and_top_5_by_brute_force():
    rng = np.random.default_rng(0)
    score_VxA, label_V = rng.normal(size=(50, 36)), rng.integers(36, size=50)
    results = scores.outcomes([Video(index, int(label)) for index, label in enumerate(label_V)], score_VxA)
    for video in range(50):
        above = sum(score > score_VxA[video, label_V[video]] for score in score_VxA[video])
        assert results.right_V[video] == (above == 0)
        assert results.among_V[video] == (above < 5)
    shares = scores.percentages({"static": results, "moving": results.where(np.arange(50) < 10)})
    assert shares["static"] == 100 * results.right_V.mean()
    assert shares["static_top5"] == 100 * results.among_V.mean()
    assert shares["moving_top5"] == 100 * results.among_V[:10].mean()


def test_the_majority_is_of_the_training_videos():
    train = [Video(index, label) for index, label in enumerate([3, 3, 3, 7, 7, 1, 2, 5, 5])]
    score_VxA = controls.majority(train, [Video(20, 3), Video(21, 7), Video(22, 30)])
    results = scores.outcomes([Video(20, 3), Video(21, 7), Video(22, 30)], score_VxA)
    np.testing.assert_array_equal(results.right_V, [True, False, False])
    np.testing.assert_array_equal(results.among_V, [True, True, False])


def test_where_it_was_last_seen_is_right_wherever_it_is_seen(root):
    videos = files.read_videos(root, "train")
    endings = controls.read_endings(root, videos)
    told = [endings[video.scene_index] for video in videos]
    results = scores.outcomes(videos, controls.last_seen_cell(told))
    for video, ending, right in zip(videos, told, results.right_V, strict=True):
        annotation = annotations.read_annotation(files.find_annotations(root)[video.scene_index])
        hidden_F = annotations.covered(annotation)[:, 0]
        assert (ending.kind == SEEN) == (not hidden_F[-1])
        assert right == (ending.kind != CARRIED)
        frame = max((frame for frame in range(301) if not hidden_F[frame]), default=0)
        place_2 = annotation.location_FxOx3[frame, 0, :2]
        assert ending.last_seen == (np.floor(place_2[1]) + 3) * 6 + np.floor(place_2[0]) + 3
    assert {ending.kind for ending in told} == {SEEN, STAYED, CARRIED}


def test_beside_the_cell_where_it_was_last_seen_come_its_neighbours():
    score_VxA = controls.last_seen_cell([Ending(SEEN, 14)])
    assert set(np.argsort(-score_VxA[0], kind="stable")[:5].tolist()) == {14, 13, 15, 8, 20}


@pytest.fixture(scope="module")
def columns():
    videos = [Video(index, index % 36) for index in range(40)]
    right = scores.outcomes(videos, one_hot(*(video.label for video in videos)))
    wrong = scores.outcomes(videos, one_hot(*((video.label + 1) % 36 for video in videos)))
    return {"model": {"static": right}, "shuffled": {"static": wrong}}


def test_the_table_has_the_metrics_beside_the_controls_and_the_margin(columns):
    text = scores.table(columns)
    for line in ("top-1, %    100.00        0.00", "top-5, %    100.00", "L1, cells     0.00"):
        assert line in text
    assert "static         +100.0 [+100.0, +100.0]" in text


def test_kinds_have_rows_of_their_own(columns):
    kinds = {"static": np.array([SEEN] * 30 + [CARRIED] * 10)}
    text = scores.table(columns, kinds)
    rows = {line.rpartition("top-1")[0].strip(): line for line in text.splitlines() if "top-1, %" in line}
    assert f"- {SEEN}              30".split() == next(key for key in rows if SEEN in key).split()
    assert next(key for key in rows if CARRIED in key).split()[-1] == "10"
    assert not any(STAYED in key for key in rows)
