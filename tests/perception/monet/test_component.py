"""The spatial broadcast against its definition; shapes; what the encoder sees."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from aloe.perception.monet.component import BroadcastDecoder, Encoder
from aloe.perception.monet.config import MonetConfig
from tests.perception.monet.cases import SMALL, pictures


def test_the_first_layer_is_the_convolution_over_the_broadcast_latent():
    decoder = BroadcastDecoder(SMALL, rngs=nnx.Rngs(0))
    decoder.convolutions[0].bias[...] = jnp.arange(4.0)
    latent_BxD = jax.random.normal(jax.random.key(1), (3, SMALL.latent))
    side = np.linspace(-1, 1, SMALL.size + 8)
    rows, columns = np.meshgrid(side, side, indexing="ij")
    grid = np.empty((3, SMALL.size + 8, SMALL.size + 8, SMALL.latent + 2), np.float32)
    grid[..., :-2] = latent_BxD[:, None, None]
    grid[..., -2], grid[..., -1] = rows, columns
    np.testing.assert_allclose(decoder.broadcast(latent_BxD), decoder.convolutions[0](grid), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [16, 64])
@pytest.mark.parametrize("latent", [16, 36])
def test_shapes(size, latent):
    config = MonetConfig(size=size, latent=latent, component_width=4, component_hidden=8, dtype="bfloat16")
    encoder, decoder = Encoder(config, rngs=nnx.Rngs(0)), BroadcastDecoder(config, rngs=nnx.Rngs(0))
    mean_BxD, log_sigma_BxD = encoder(pictures(2, size), jnp.zeros((2, size, size)))
    image, logit = decoder(mean_BxD)
    assert mean_BxD.shape == log_sigma_BxD.shape == (2, latent)
    assert (image.shape, logit.shape) == ((2, size, size, 3), (2, size, size))
    assert {array.dtype for array in (mean_BxD, log_sigma_BxD, image, logit)} == {jnp.dtype("float32")}
    assert np.all((np.asarray(image) >= 0) & (np.asarray(image) <= 1))


def test_the_encoder_sees_the_mask():
    encoder = Encoder(SMALL, rngs=nnx.Rngs(0))
    image = pictures(1)
    seen = encoder(image, jnp.zeros((1, 16, 16)))[0]
    masked = encoder(image, jnp.zeros((1, 16, 16)).at[:, 4:9, 4:9].set(-5.0))[0]
    assert np.all(seen != masked)
