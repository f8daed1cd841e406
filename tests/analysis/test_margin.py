import numpy as np
import pytest

from aloe.analysis.margin import margin_interval


def test_the_margins_interval_is_that_of_videos_not_of_questions():
    """The questions of a video are all right or all wrong: the interval must be that of 40 draws, not 400."""
    rng = np.random.default_rng(0)
    right_V = rng.random(40) < 0.5
    margin, low, high = margin_interval(np.repeat(right_V, 10).astype(float), np.repeat(np.arange(40), 10))
    assert margin == pytest.approx(100 * right_V.mean())
    deviation = 100 * np.sqrt(right_V.mean() * (1 - right_V.mean()) / 40)
    assert high - low == pytest.approx(2 * 1.96 * deviation, rel=0.15)
