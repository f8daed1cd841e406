"""Properties of the masking schemes, over many keys."""

import collections
import functools

import jax
import numpy as np
import pytest

from aloe.objectives import masks

SLOTS = 4
PREDICT = (masks.predict_objects, masks.predict_scenes)
INFILL = (masks.infill_objects, masks.infill_scenes)
OBJECTS = (masks.predict_objects, masks.infill_objects)


def drawn(scheme, frames, slots=SLOTS, keys=300, **settings):
    """visible_BxFxN and target_BxFxN for many keys."""
    draw = functools.partial(scheme, frames=frames, slots=slots, **settings)
    return jax.device_get(jax.jit(jax.vmap(draw))(jax.random.split(jax.random.key(frames), keys)))


@pytest.mark.parametrize("frames", [1, 7])
def test_one_object_per_frame_hides_exactly_the_target(frames):
    visible, target = drawn(masks.one_object_per_frame, frames, 8)
    assert visible.shape == target.shape == (300, frames, 8)
    assert visible.dtype == target.dtype == bool
    np.testing.assert_array_equal(target.sum(axis=2), 1)
    np.testing.assert_array_equal(visible, ~target)


def test_one_object_per_frame_draws_every_slot_about_equally_and_anew():
    _, target = drawn(masks.one_object_per_frame, 10, 8, keys=500)
    np.testing.assert_allclose(target.mean(axis=(0, 1)), 1 / 8, atol=deviations(1 / 8, 5000))
    again = (target[:, 1:] & target[:, :-1]).any(axis=2)
    np.testing.assert_allclose(again.mean(), 1 / 8, atol=deviations(1 / 8, 4500))


@pytest.mark.parametrize("share", [0.2, 7 / 8])
def test_uniform_shows_the_share_and_asks_for_the_rest(share):
    visible, target = drawn(masks.uniform, 10, 8, keys=500, visible=share)
    np.testing.assert_array_equal(target, ~visible)
    np.testing.assert_allclose(visible.mean(), share, atol=deviations(share, visible.size))
    np.testing.assert_allclose(visible.mean(axis=0), share, atol=deviations(share, 500, 5))  # the same everywhere
    both = visible[:, :, 1:] & visible[:, :, :-1]
    np.testing.assert_allclose(both.mean(), share**2, atol=deviations(share**2, both.size, 8))  # independently


@pytest.mark.parametrize(
    ("scheme", "frames", "buffer"),
    [(scheme, *sizes) for scheme in PREDICT for sizes in ((2, 0), (5, 3), (7, 1), (25, 3))]
    + [(scheme, *sizes) for scheme in INFILL for sizes in ((3, 0), (9, 3), (7, 1), (25, 3))],
)
def test_targets_are_a_span_with_a_buffer_to_the_context(scheme, frames, buffer):
    visible, target = drawn(scheme, frames, buffer=buffer)
    assert visible.shape == target.shape == (300, frames, SLOTS)
    assert not (visible & target).any()
    np.testing.assert_array_equal(target.sum(axis=2)[target.any(axis=2)], 1 if scheme in OBJECTS else SLOTS)
    np.testing.assert_array_equal(visible.all(axis=2), visible.any(axis=2))
    for visible_F, target_F in zip(visible.any(axis=2), target.any(axis=2), strict=True):
        # Along the video: context, the buffer, targets and, when infilling, the buffer and context again.
        context, targets = np.flatnonzero(visible_F), np.flatnonzero(target_F)
        first, last = targets[0], targets[-1]
        np.testing.assert_array_equal(targets, np.arange(first, last + 1))
        after = np.arange(last + buffer + 1, frames) if scheme in INFILL else np.arange(0)
        np.testing.assert_array_equal(context, [*range(first - buffer), *after])
        assert first - buffer >= 1
        assert len(after) >= 1 if scheme in INFILL else last == frames - 1


@pytest.mark.parametrize("scheme", PREDICT + INFILL)
def test_every_span_that_fits_is_drawn_equally_often(scheme):
    """For 8 frames with a buffer of 1: the first target is frame 2 to 7 or, when infilling, both ends are in 2 to 5."""
    frames, buffer = 8, 1
    spans = {(first, 7) for first in range(2, 8)}
    if scheme in INFILL:
        spans = {(first, last) for first in range(2, 6) for last in range(first, 6)}
    _, target = drawn(scheme, frames, buffer=buffer, keys=3000)
    found = collections.Counter((row[0], row[-1]) for row in map(np.flatnonzero, target.any(axis=2)))
    assert set(found) == spans
    share = 1 / len(spans)
    np.testing.assert_allclose(np.array(list(found.values())) / 3000, share, atol=deviations(share, 3000))


@pytest.mark.parametrize("scheme", OBJECTS)
def test_the_slot_of_a_target_frame_is_drawn_equally_often_and_anew(scheme):
    _, target = drawn(scheme, 12, buffer=1, keys=2000)
    slot = target[target.any(axis=2)]
    np.testing.assert_allclose(slot.mean(axis=0), 1 / SLOTS, atol=deviations(1 / SLOTS, len(slot)))
    two = target[:, 1:].any(axis=2) & target[:, :-1].any(axis=2)
    again = (target[:, 1:] & target[:, :-1]).any(axis=2)[two]
    np.testing.assert_allclose(again.mean(), 1 / SLOTS, atol=deviations(1 / SLOTS, len(again)))


SCHEMES = {
    "one_object_per_frame": masks.one_object_per_frame,
    "uniform": functools.partial(masks.uniform, visible=0.5),
    **{scheme.__name__: functools.partial(scheme, buffer=2) for scheme in PREDICT + INFILL},
}


@pytest.mark.parametrize("name", SCHEMES)
def test_masks_follow_the_key(name):
    draw = jax.jit(jax.vmap(functools.partial(SCHEMES[name], frames=25, slots=8)))
    keys = jax.random.split(jax.random.key(0), 40)
    together, turned = draw(keys), draw(keys[::-1])
    for one, other in zip(together, turned, strict=True):
        np.testing.assert_array_equal(one, other[::-1])
    assert len(np.unique(together[1], axis=0)) > 10


def deviations(share, draws, number=4):
    """`number` standard deviations of the mean of `draws` draws that are 1 with probability `share`, else 0."""
    return number * np.sqrt(share * (1 - share) / draws)
