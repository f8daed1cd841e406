"""Objects see only those of their own frame; words interact with frames, not with objects."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from aloe.attention.dropout import DropoutKeys
from aloe.model import transformer
from aloe.model.block import Block
from aloe.model.hierarchical import of_frames
from tests.model.test_tower import BATCH, CONFIG, KEYS, TOKENS, build, transform

FRAMES, SLOTS, LANGUAGE = CONFIG.frames, CONFIG.slots, 1 + CONFIG.words


@pytest.fixture(scope="module")
def tower():
    return nnx.merge(*build("hierarchical")).tower


@pytest.fixture(scope="module")
def frames(tower):
    """The compiled function (object tokens, keys) → frames before the second transformer."""
    return jax.jit(lambda objects, keys=None: tower.frames(objects, keys))


def test_blocks_are_chosen_by_the_lengths_of_their_own_sequences(monkeypatch):
    chosen = []
    monkeypatch.setattr(transformer, "chosen_block", lambda config, tokens: chosen.append(tokens) or Block)
    build("hierarchical")
    assert chosen == [SLOTS, LANGUAGE + FRAMES]


def test_before_the_second_transformer_an_object_depends_on_the_objects_of_its_own_frame_alone(frames):
    objects = TOKENS[:, LANGUAGE:]
    for frame in range(FRAMES):
        for slot in range(SLOTS):
            changed = frames(objects.at[:, frame * SLOTS + slot].add(1.0)) != frames(objects)
            changed_BxFxND = np.asarray(changed)
            assert not np.delete(changed_BxFxND, frame, axis=1).any()
            assert changed_BxFxND[:, frame].reshape(BATCH, SLOTS, -1).any(axis=-1).all()  # all slots of this frame


def test_the_frames_are_those_of_each_frame_as_a_video_of_its_own(tower, frames):
    """Slots and frames are not mixed up by the reshape to [B, F, N·D]."""
    together = frames(TOKENS[:, LANGUAGE:])
    assert together.shape == (BATCH, FRAMES, SLOTS * CONFIG.latent)
    by_frame = TOKENS[:, LANGUAGE:].reshape(BATCH, FRAMES, SLOTS, -1)
    for frame in range(FRAMES):
        latents_BxNxD = tower.object_map(tower.within_frames(by_frame[:, frame]))
        np.testing.assert_allclose(together[:, frame], latents_BxNxD.reshape(BATCH, -1), rtol=1e-5, atol=1e-5)


def reached(run, place):
    """The outputs that change with the token at a place, the same ones in every example."""
    changed_BxS = np.asarray(run(TOKENS.at[:, place].add(1.0)) != run(TOKENS)).any(axis=-1)
    assert (changed_BxS == changed_BxS[0]).all()
    return np.flatnonzero(changed_BxS[0]).tolist()


def test_cls_words_and_frames_all_reach_each_other():
    for place in range(TOKENS.shape[1]):
        assert reached(transform("hierarchical"), place) == list(range(LANGUAGE + FRAMES))


def test_words_reach_the_second_transformer_alone():
    """If the second one lets no token see another, a word changes no frame, and an object only its own."""
    model = nnx.merge(*build("hierarchical"))
    model.tower.between_frames.blocks.attention.output.kernel[...] *= 0
    run = jax.jit(lambda tokens: model.transform(tokens))
    outputs = [reached(run, place) for place in range(TOKENS.shape[1])]
    assert outputs == [[place] for place in range(LANGUAGE)] + [
        [LANGUAGE + frame] for frame in range(FRAMES) for _ in range(SLOTS)
    ]


def test_f_splits_a_frame_among_its_objects():
    """The latents of a frame are read from that frame's output, one block of f's columns for each object."""
    model = nnx.merge(*build("hierarchical"))
    outputs = jax.random.normal(jax.random.key(3), (BATCH, LANGUAGE + FRAMES, 16))
    latents_BxFxNxD = np.asarray(model.infill(outputs))
    kernel, bias = (np.asarray(param[...]) for param in (model.infill_map.kernel, model.infill_map.bias))
    assert kernel.shape == (16, SLOTS * CONFIG.latent)
    for frame in range(FRAMES):
        for slot in range(SLOTS):
            own = slice(slot * CONFIG.latent, (slot + 1) * CONFIG.latent)
            expected = np.asarray(outputs)[:, LANGUAGE + frame] @ kernel[:, own] + bias[own]
            np.testing.assert_allclose(latents_BxFxNxD[:, frame, slot], expected, rtol=1e-5, atol=1e-5)


def test_layers_are_split_evenly_or_as_told():
    def layers(**changes):
        tower = nnx.eval_shape(lambda: nnx.merge(*build("hierarchical", **changes))).tower
        return [part.blocks.attention.query.kernel.shape[0] for part in (tower.within_frames, tower.between_frames)]

    assert layers(layers=6) == [3, 3]
    assert layers(layers=5) == [2, 3]
    assert layers(layers=6, layers_within_frames=5) == [5, 1]


def test_dropout_differs_between_the_frames_of_an_example(frames):
    keys = of_frames(KEYS, FRAMES)
    assert isinstance(keys, DropoutKeys)
    assert len(np.unique(jax.random.key_data(keys.examples_B), axis=0)) == BATCH * FRAMES
    same_frames = jnp.tile(TOKENS[:, LANGUAGE : LANGUAGE + SLOTS], (1, FRAMES, 1))
    plain, dropped = frames(same_frames), frames(same_frames, keys)
    np.testing.assert_allclose(plain[:, 1:], plain[:, :-1], atol=1e-6)
    assert (np.abs(dropped[:, 1:] - dropped[:, :-1]).max(axis=-1) > 1e-3).all()
