"""The margin by which a model beats a control, with an interval."""

import numpy as np

RESAMPLES = 2_000


def margin_interval(gained_Q: np.ndarray, video_Q: np.ndarray) -> tuple[float, float, float]:
    """How many percentage points more questions a model gets right than a control, with a 95 % interval.

    Args:
      gained_Q: for every question, 1 if only the model is right, −1 if only the control is, else 0.
      video_Q: the video that each question is about.

    Returns:
      The margin, and the 2.5th and 97.5th percentiles of its bootstrap, which draws whole videos with replacement
      because questions about the same video are right or wrong together.
    """
    videos, video_Q = np.unique(video_Q, return_inverse=True)
    gained_V = np.bincount(video_Q, gained_Q, minlength=len(videos))
    asked_V = np.bincount(video_Q, minlength=len(videos))
    drawn_SxV = np.random.default_rng(0).multinomial(len(videos), np.full(len(videos), 1 / len(videos)), RESAMPLES)
    margins_S = 100 * (drawn_SxV @ gained_V) / (drawn_SxV @ asked_V)
    low, high = np.percentile(margins_S, [2.5, 97.5])
    return 100 * float(gained_V.sum() / asked_V.sum()), float(low), float(high)


def margin(gained_Q: np.ndarray, video_Q: np.ndarray) -> str:
    """`margin_interval` as text: +9.9 [+5.6, +13.8]."""
    points, low, high = margin_interval(gained_Q, video_Q)
    return f"{points:+.1f} [{low:+.1f}, {high:+.1f}]"
