"""MONet as a whole: reparameterised latents, slots that do not mix, gradients that reach everything."""

import collections
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from aloe.perception.monet import losses
from aloe.perception.monet.config import MonetConfig
from aloe.perception.monet.model import Monet, Slots
from aloe.training.state import parameter_count
from tests.perception.monet.cases import SMALL, pictures, small_monet


def noise(seed=0, count=2):
    return jax.random.normal(jax.random.key(seed), (count, SMALL.slots, SMALL.latent))


@pytest.mark.parametrize("drawn", [True, False])
def test_the_gradient_of_the_reconstruction_reaches_sigma_only_through_the_noise(drawn):
    """Without the reparameterisation sigma would learn from its divergence alone, and every latent would be noise."""
    graphdef, params = nnx.split(small_monet(), nnx.Param)

    def reconstruction(params):
        slots = nnx.merge(graphdef, params)(pictures(), noise() if drawn else None)
        return jnp.sum(losses.reconstruction(pictures(), slots, 0.09, 0.11))

    gradient = nnx.to_pure_dict(jax.jit(jax.grad(reconstruction))(params))["encoder"]["posterior"]["kernel"]
    of_mean, of_log_sigma = jnp.split(gradient, 2, axis=-1)
    assert np.all(np.any(of_mean != 0, axis=0))
    assert np.all(np.any(of_log_sigma != 0, axis=0)) == drawn
    assert np.any(of_log_sigma != 0) == drawn


def test_latents_are_mean_plus_sigma_times_noise():
    model = small_monet()
    slots = model(pictures(), noise())
    latent = slots.mean_BxNxD + jnp.exp(slots.log_sigma_BxNxD) * noise()
    image, logit = model.decoder(latent.reshape(-1, SMALL.latent))
    np.testing.assert_allclose(slots.image_BxNxYxXx3, image.reshape(slots.image_BxNxYxXx3.shape), rtol=1e-5)
    decoded = nnx.softmax(logit.reshape(slots.log_mask_BxNxYxX.shape), axis=1)
    np.testing.assert_allclose(jnp.exp(slots.log_decoded_BxNxYxX), decoded, rtol=1e-4)


def test_every_slot_is_encoded_with_its_own_mask_and_picture():
    """The long batch of all slots must not mix up examples and slots."""
    model, image = small_monet(), pictures(3)
    log_mask, mean, log_sigma = model.encode(image)
    for row in range(3):
        for slot in range(SMALL.slots):
            one = model.encoder(image[row : row + 1], log_mask[row : row + 1, slot])
            np.testing.assert_allclose(mean[row, slot], one[0][0], rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(log_sigma[row, slot], one[1][0], rtol=1e-4, atol=1e-5)
    slots = model(image)
    np.testing.assert_array_equal(slots.mean_BxNxD, mean)


def test_the_mixture_is_the_sum_of_masked_pictures():
    slots = small_monet()(pictures())
    expected = sum(
        np.exp(slots.log_mask_BxNxYxX[:, slot, :, :, None]) * slots.image_BxNxYxXx3[:, slot]
        for slot in range(SMALL.slots)
    )
    np.testing.assert_allclose(slots.mixed_BxYxXx3, expected, rtol=1e-5)


def test_the_loss_reaches_every_parameter():
    graphdef, params = nnx.split(small_monet(), nnx.Param)

    def loss(params):
        slots = nnx.merge(graphdef, params)(pictures(), noise())
        parts = losses.latent_divergence(slots) + losses.mask_divergence(slots)
        return jnp.sum(losses.reconstruction(pictures(), slots, 0.09, 0.11) + parts)

    for path, leaf in jax.tree_util.tree_leaves_with_path(jax.jit(jax.grad(loss))(params)):
        assert np.any(leaf != 0), jax.tree_util.keystr(path)


def test_the_papers_sizes():
    """Counted by hand from appendix B, for 64 × 64 and 16 latents."""
    model = nnx.eval_shape(lambda: Monet(MonetConfig(), rngs=nnx.Rngs(0)))
    counts = {name: parameter_count(part) for name, part in nnx.to_pure_dict(nnx.state(model, nnx.Param)).items()}

    def unet(inputs, outputs):
        return sum(9 * i * o + o for i, o in zip(inputs, outputs, strict=True))  # + o: the bias of the norm

    down = unet([4, 32, 32, 64, 64], [32, 32, 64, 64, 64])
    up = unet([128, 128, 128, 96, 64], [64, 64, 64, 32, 32])
    bottom = 1024 * 128 + 128 + 128 * 128 + 128 + 128 * 1024 + 1024
    encoder = unet([4, 32, 32, 64], [32, 32, 64, 64]) + 1024 * 256 + 256 + 256 * 32 + 32
    decoder = unet([18, 32, 32, 32], [32, 32, 32, 32]) + 32 * 4 + 4
    assert counts == {"attention": down + up + bottom + 33, "encoder": encoder, "decoder": decoder}


def of_dtype(dtype):
    """MONet on pictures and noise as a function of its parameters, and those parameters."""
    graphdef, params = nnx.split(Monet(dataclasses.replace(SMALL, dtype=dtype), rngs=nnx.Rngs(0)), nnx.Param)
    return lambda params: nnx.merge(graphdef, params)(pictures(), noise()), params


def test_bfloat16_is_near_float32():
    """To its eight bits: the RMS error is at most some hundredths of the values' deviation, and shows rounding."""
    slots = {}
    for dtype in ("bfloat16", "float32"):
        function, params = of_dtype(dtype)
        slots[dtype] = jax.jit(function)(params)
    assert {leaf.dtype for leaf in slots["bfloat16"]} == {jnp.dtype("float32")}
    for name in Slots._fields:
        rounded, exact = (np.asarray(getattr(each, name), np.float64) for each in slots.values())
        error = np.sqrt(np.mean((rounded - exact) ** 2)) / np.std(exact)
        assert 1e-3 < error < 0.03, name


def operations(jaxpr):
    """Yields the operations of a program and of all that it calls."""
    for operation in jaxpr.eqns:
        yield operation
        for value in jax.tree.leaves(operation.params, is_leaf=lambda value: hasattr(value, "eqns")):
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from operations(inner)


def test_bfloat16_is_for_products_alone():
    """Sums over a picture or over slots, and logarithms, need more digits than bfloat16 has."""
    function, params = of_dtype("bfloat16")
    counts = collections.Counter(
        (operation.primitive.name, *(str(each.aval.dtype) for each in (operation.invars[0], operation.outvars[0])))
        for operation in operations(jax.make_jaxpr(function)(params).jaxpr)
    )
    products = {key: count for key, count in counts.items() if key[0] in ("conv_general_dilated", "dot_general")}
    looks = SMALL.slots - 1  # how often the U-Net is run
    assert products == {
        ("conv_general_dilated", "bfloat16", "bfloat16"): looks * 2 * SMALL.blocks + 4 + 3,
        ("conv_general_dilated", "float32", "float32"): 1,  # the decoder's first, over the coordinates
        ("dot_general", "bfloat16", "bfloat16"): looks * 3 + 1,  # the U-Net's bottom, the encoder's hidden layer
        ("dot_general", "bfloat16", "float32"): looks + 1,  # logits of the U-Net, colours and logits of the decoder
        ("dot_general", "float32", "float32"): 2,  # the posterior, and the latent in the decoder's first
    }
    fine = {key for key in counts if key[0] in ("reduce_sum", "rsqrt", "exp", "log1p", "logistic")}
    assert len(fine) == 5
    assert all("bfloat16" not in key for key in fine)
