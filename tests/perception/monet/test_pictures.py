import jax.numpy as jnp
import numpy as np

from aloe.perception.monet.pictures import strips
from tests.perception.monet.cases import log_mask_of, random_slots


def test_a_strip_shows_the_frame_its_reconstruction_the_winners_and_each_part():
    slot_BxYxX = np.zeros((2, 4, 5), int)
    slot_BxYxX[:, 2:, 1:] = 2
    sharp = log_mask_of(slot_BxYxX, 3)
    slots = random_slots()._replace(log_mask_BxNxYxX=sharp)
    image = jnp.asarray(np.random.default_rng(1).integers(0, 256, (2, 4, 5, 3)) / 255, jnp.float32)
    strip = np.asarray(strips(image, slots))
    assert (strip.shape, strip.dtype) == ((2, 4, 6 * 5, 3), np.uint8)
    frame, mixed, winners, *parts = np.split(strip, 6, axis=2)
    np.testing.assert_array_equal(frame, np.round(np.asarray(image) * 255))
    for slot, part in enumerate(parts):
        own = np.round(255 * np.asarray(slots.image_BxNxYxXx3[:, slot]))
        won = slot_BxYxX == slot
        np.testing.assert_allclose(part[won], own[won], atol=1)
        np.testing.assert_allclose(part[~won], 127.5, atol=1)
        np.testing.assert_allclose(mixed[won], own[won], atol=1)
        assert len(np.unique(winners[won], axis=0)) == min(1, won.sum())
    assert len(np.unique(winners.reshape(-1, 3), axis=0)) == 2
