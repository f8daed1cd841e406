"""Latents from pixels against direct loops: every superpixel, every masked frame, and what the gradient reaches."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from aloe.data import masks
from aloe.errors import InputError
from aloe.model.config import ModelConfig
from aloe.perception import learned
from aloe.perception.config import MASKED_FRAMES, SUPERPIXELS, PerceptionConfig

SIZE, SLOTS = 16, 5
MODEL = ModelConfig(
    layers=1, heads=2, latent=6, slots=SLOTS, frames=2, outputs={"answer": 3}, dtype="float32", dropout=0.0
)
SMALL = PerceptionConfig(MASKED_FRAMES, size=SIZE, blocks=3, width=4)


def make(config, **model):
    """A perception module whose parameters have noise added, so that biases are not zero."""
    module = learned.make(config, dataclasses.replace(MODEL, **model), rngs=nnx.Rngs(0))
    rng = np.random.default_rng(0)
    moved = jax.tree.map(lambda leaf: leaf + 0.1 * rng.standard_normal(leaf.shape, np.float32), nnx.state(module))
    nnx.update(module, moved)
    return module


def convolved(image_YxXxC, kernel_3x3xCxO, bias_O, stride):
    """A 3 × 3 convolution by loops, zero-padded on all sides, or with stride 2 only at the bottom and right."""
    before = 1 if stride == 1 else 0
    padded = np.pad(image_YxXxC, [(before, 1), (before, 1), (0, 0)])
    rows, columns = (length // stride for length in image_YxXxC.shape[:2])
    out = np.zeros((rows, columns, len(bias_O)))
    for row in range(rows):
        for column in range(columns):
            patch = padded[stride * row : stride * row + 3, stride * column : stride * column + 3]
            out[row, column] = np.einsum("yxc,yxco->o", patch, kernel_3x3xCxO) + bias_O
    return out


def feature_map(module, image_YxXx3):
    """The ResNet on one picture with colours in [0, 1], in float64: two convolutions and a shortcut per block."""
    x = np.asarray(image_YxXx3, np.float64)
    for block in module.resnet.blocks:
        first, second = block.first, block.second
        made = convolved(x, np.asarray(first.kernel[...], np.float64), np.asarray(first.bias[...]), 2)
        made = convolved(
            np.maximum(made, 0), np.asarray(second.kernel[...], np.float64), np.asarray(second.bias[...]), 1
        )
        rows, columns, channels = x.shape
        way_round = x.reshape(rows // 2, 2, columns // 2, 2, channels).mean((1, 3))
        made[..., :channels] += way_round
        x = np.maximum(made, 0)
    return x


def dense(module, x):
    return x @ np.asarray(module.latents.kernel[...], np.float64) + np.asarray(module.latents.bias[...])


def drawn(seed=0, batch=2, frames=2, slots=SLOTS):
    """Pictures, and masks that may overlap, the last of which is empty."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (batch, frames, SIZE, SIZE, 3), np.uint8)
    mask = rng.random((batch, frames, slots, SIZE, SIZE)) < 0.3
    mask[:, :, -1] = False
    packed = np.stack([masks.pack(video) for video in mask])
    return {"image": image, "masks": packed}, mask


@pytest.mark.parametrize("blocks", [2, 3])
def test_superpixels_are_the_places_of_the_last_feature_map_row_by_row(blocks):
    config = dataclasses.replace(SMALL, kind=SUPERPIXELS, blocks=blocks)
    module, (seen, _) = make(config), drawn()
    latents = jax.jit(module)(seen)
    side = SIZE // 2**blocks
    assert latents.shape == (2, 2, side**2, MODEL.latent)
    for video, frame in np.ndindex(2, 2):
        expected = dense(module, feature_map(module, seen["image"][video, frame] / 255))
        for row, column in np.ndindex(side, side):
            np.testing.assert_allclose(latents[video, frame, side * row + column], expected[row, column], atol=1e-5)


@pytest.mark.parametrize("slots", [SLOTS, 9])
def test_a_masked_frame_is_f_of_what_the_mask_leaves_of_the_picture(slots):
    module, (seen, mask) = make(SMALL, slots=slots), drawn(slots=slots)
    latents = jax.jit(module)(seen)
    assert latents.shape == (2, 2, slots, MODEL.latent)
    for video, frame, slot in np.ndindex(2, 2, slots):
        left = np.where(mask[video, frame, slot][..., None], seen["image"][video, frame] / 255, 0)
        expected = dense(module, feature_map(module, left).reshape(-1))
        np.testing.assert_allclose(latents[video, frame, slot], expected, atol=1e-5)


def test_a_slot_without_an_object_is_the_same_whatever_the_picture_shows():
    module, (seen, _) = make(SMALL), drawn()
    latents = np.asarray(module(seen))
    # Up to rounding: threads divide the rows of a batch, and the last rows of a share may be summed in another order.
    distances = np.abs(latents - latents[0, 0, -1]).max(axis=-1)
    assert distances[:, :, -1].max() < 1e-6
    assert distances[:, :, :-1].min() > 1e-3
    assert np.abs(latents[:, :, -1]).max() > 1e-3  # and not zero: that is a masked latent


def test_what_a_mask_hides_is_of_no_matter():
    module, (seen, mask) = make(SMALL), drawn()
    others, _ = drawn(seed=1)
    image = np.where(mask[:, :, 0, :, :, None], seen["image"], others["image"])
    before, after = module(seen), module(seen | {"image": image})
    np.testing.assert_array_equal(before[:, :, 0], after[:, :, 0])
    assert (before[:, :, 1] != after[:, :, 1]).any()


@pytest.mark.parametrize("kind", [SUPERPIXELS, MASKED_FRAMES])
def test_the_gradient_reaches_every_parameter_and_is_the_same_with_recomputation(kind):
    seen, _ = drawn()
    config = dataclasses.replace(SMALL, kind=kind)

    def gradient(remat):
        graphdef, params = nnx.split(make(config, remat=remat))
        return nnx.to_pure_dict(jax.jit(jax.grad(lambda p: jnp.sum(nnx.merge(graphdef, p)(seen) ** 2)))(params))

    grads = gradient(False)
    assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(grads))
    assert len(jax.tree.leaves(grads)) == 2 * (
        2 * SMALL.blocks + 1
    )  # a kernel and a bias for each of six convolutions and f
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4), grads, gradient(True))


@pytest.mark.parametrize("kind", [SUPERPIXELS, MASKED_FRAMES])
def test_recomputation_takes_the_memory_of_one_frame(kind):
    seen, _ = drawn(frames=12)

    def temporary(remat):
        graphdef, params = nnx.split(make(dataclasses.replace(SMALL, kind=kind), remat=remat))
        gradient = jax.jit(jax.grad(lambda p: jnp.sum(nnx.merge(graphdef, p)(seen) ** 2)))
        return gradient.lower(params).compile().memory_analysis().temp_size_in_bytes

    assert temporary(True) < temporary(False) / 3


def test_bfloat16_computes_in_it_and_gives_float32():
    seen, _ = drawn()
    whole, rough = make(SMALL)(seen), make(SMALL, dtype="bfloat16")(seen)
    assert whole.dtype == rough.dtype == np.float32
    difference = np.abs(whole - rough)
    assert 0 < difference.max() < 0.05 * np.abs(whole).max()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "superpixel"}, "perception.kind is 'superpixel'; give one of stored, superpixels, masked_frames"),
        ({"width": 0}, "perception.width is 0; give a whole number of at least 1"),
        ({"size": 20}, "perception.size is 20 and perception.blocks 3; each block halves"),
    ],
)
def test_what_makes_no_perception_is_refused(changes, message):
    with pytest.raises(InputError, match=re.escape(message)):
        dataclasses.replace(SMALL, **changes)


def test_a_slot_is_wanted_for_every_superpixel():
    config = dataclasses.replace(SMALL, kind=SUPERPIXELS)
    learned.check_slots(config, dataclasses.replace(MODEL, slots=4))
    with pytest.raises(InputError, match=re.escape("config.model.slots = 5: 3 blocks make 2×2 superpixels of 16×16")):
        learned.check_slots(config, MODEL)
    learned.check_slots(SMALL, MODEL)
