"""Turns words and objects into the sequence that the tower reads."""

import jax
import jax.numpy as jnp
from flax import nnx

from aloe.model.config import ModelConfig

LANGUAGE = (1.0, 0.0)  # the modality bits that end every token
VISION = (0.0, 1.0)


class TokenEmbedding(nnx.Module):
    """Tokens [B, T, D + 2]: a learned CLS, then words, then objects, frame by frame (paper, section 2).

    * An object is its latent and the bits [0, 1].
    * A word is a learned embedding of D − 2 numbers, two tags given by the caller (the released code uses them to tell
      questions from choices), and the bits [1, 0]. Padding words are embedded like others, and nothing is masked.
    """

    def __init__(self, config: ModelConfig, *, rngs: nnx.Rngs):
        self.config = config
        self.cls = nnx.Param(jnp.zeros(config.token))
        if config.mask_token == "learned":
            self.mask = nnx.Param(jnp.zeros(config.token))
        if config.vocabulary:
            self.words = nnx.Embed(
                config.vocabulary, config.latent - 2, embedding_init=nnx.initializers.normal(1.0), rngs=rngs
            )

    def __call__(
        self,
        latents_BxFxNxD: jax.Array,
        words_BxW: jax.Array | None = None,
        word_tags_BxWx2: jax.Array | None = None,
        visible_BxFxN: jax.Array | None = None,
        *,
        stop_language_gradient: bool = False,
    ) -> jax.Array:
        objects = self._objects(latents_BxFxNxD, visible_BxFxN)
        batch = objects.shape[0]
        language = [jnp.broadcast_to(self.cls[...], (batch, 1, self.config.token))]
        if words_BxW is not None:
            language.append(self._words(words_BxW, word_tags_BxWx2))
        if stop_language_gradient:
            language = jax.lax.stop_gradient(language)
        return jnp.concatenate([*language, objects], axis=1)

    def _words(self, words_BxW: jax.Array, word_tags_BxWx2: jax.Array | None) -> jax.Array:
        if not self.config.vocabulary:
            raise ValueError("words were given to a model without a vocabulary")
        if word_tags_BxWx2 is None or word_tags_BxWx2.shape != (*words_BxW.shape, 2):
            shape = None if word_tags_BxWx2 is None else word_tags_BxWx2.shape
            raise ValueError(f"words of shape {words_BxW.shape} need tags of {(*words_BxW.shape, 2)}, not {shape}")
        embedded = self.words(words_BxW)
        return jnp.concatenate([embedded, word_tags_BxWx2, _bits(LANGUAGE, words_BxW.shape)], axis=-1)

    def _objects(self, latents_BxFxNxD: jax.Array, visible_BxFxN: jax.Array | None) -> jax.Array:
        config = self.config
        batch = latents_BxFxNxD.shape[0]
        if latents_BxFxNxD.shape[1:] != (config.frames, config.slots, config.latent):
            raise ValueError(
                f"latents of shape {latents_BxFxNxD.shape} given to a model of {config.frames} frames, "
                f"{config.slots} slots and latents of {config.latent}"
            )
        objects = jnp.concatenate([latents_BxFxNxD, _bits(VISION, latents_BxFxNxD.shape[:-1])], axis=-1)
        if visible_BxFxN is not None:
            hidden = self.mask[...] if config.mask_token == "learned" else jnp.array([0.0] * config.latent + [*VISION])
            objects = jnp.where(visible_BxFxN[..., None].astype(bool), objects, hidden)
        return objects.reshape(batch, config.frames * config.slots, config.token)


def _bits(bits: tuple[float, float], shape: tuple[int, ...]) -> jax.Array:
    return jnp.broadcast_to(jnp.array(bits), (*shape, 2))
