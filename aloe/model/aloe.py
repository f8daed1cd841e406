"""Aloe: attention over learned object embeddings (Ding et al., 2021, section 2)."""

from collections.abc import Mapping
from typing import Protocol

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from aloe.attention.dropout import DropoutKeys
from aloe.model.config import ModelConfig
from aloe.model.layers import default_init
from aloe.model.tokens import TokenEmbedding
from aloe.model.tower import make_tower
from aloe.model.transformer import Transformer


class Perception(Protocol):
    """A module that computes latents from pixels and is trained with the rest (`aloe.perception.learned`).

    Attributes:
      ordered: whether the order of the slots carries information, as it does for superpixels but not for objects.
    """

    ordered: bool

    def __call__(self, seen: Mapping[str, jax.Array]) -> jax.Array:
        """latents_BxFxNxD, float32, from what examples contain of their videos."""


class Head(nnx.Module):
    """Answers from the output of CLS: one hidden layer with ReLU, in float32."""

    def __init__(self, inputs: int, hidden: int, size: int, *, rngs: nnx.Rngs):
        self.hidden = nnx.Linear(inputs, hidden, kernel_init=default_init(inputs), rngs=rngs)
        self.logits = nnx.Linear(hidden, size, kernel_init=default_init(hidden), rngs=rngs)

    def __call__(self, cls_BxE: jax.Array) -> jax.Array:
        return self.logits(nnx.relu(self.hidden(cls_BxE.astype(jnp.float32))))


class Aloe(nnx.Module):
    """The model in steps: latents, tokens, the tower, then answers from CLS and latents from the objects.

    The tower is a transformer, or what replaces it (`aloe.model.tower`); everything else is the same for all towers.
    The parameters are those of `graphdef, params = nnx.split(model, nnx.Param)`, all float32;
    `aloe.model.parameters` classifies them.
    """

    def __init__(
        self,
        config: ModelConfig,
        *,
        rngs: nnx.Rngs,
        perception: Perception | None = None,
    ):
        """Without a perception module, latents are used as given."""
        self.config = config
        self.perception = perception
        self.embedding = TokenEmbedding(config, rngs=rngs)
        self.tower = make_tower(config, rngs=rngs)
        width = self.tower.width
        self.heads = nnx.Dict(
            {name: Head(width, config.head_hidden, size, rngs=rngs) for name, size in config.outputs.items()}
        )
        if config.infill:
            latents = self.tower.objects_per_output * config.latent
            self.infill_map = nnx.Linear(width, latents, kernel_init=default_init(width), rngs=rngs)

    @property
    def ordered_slots(self) -> bool:
        """Whether slots must keep their order."""
        return self.perception is not None and self.perception.ordered

    def perceive(self, seen: Mapping[str, jax.Array]) -> jax.Array:
        """latents_BxFxNxD, float32, from what examples contain of their videos: stored `latents`, or pixels."""
        if self.perception is None:
            return seen["latents"]
        with jax.default_matmul_precision(self.config.matmul_precision):
            return self.perception(seen)

    def tokens(
        self,
        latents_BxFxNxD: jax.Array,
        words_BxW: jax.Array | None = None,
        word_tags_BxWx2: jax.Array | None = None,
        visible_BxFxN: jax.Array | None = None,
        *,
        stop_language_gradient: bool = False,
    ) -> jax.Array:
        """Token sequences [B, 1 + W + F·N, D + 2] that represent videos with words, float32.

        Args:
          latents_BxFxNxD: the objects.
          words_BxW: word ids, with the two tags of each word in word_tags_BxWx2; None for a task without words.
          visible_BxFxN: the paper's m, 1 where an object is shown and 0 where it is hidden; None shows all.
          stop_language_gradient: whether to block the gradient to word embeddings and CLS, as the auxiliary loss
            requires (paper, section 2.1).

        Raises:
          ValueError: if shapes do not match the model or each other.
        """
        return self.embedding(
            latents_BxFxNxD, words_BxW, word_tags_BxWx2, visible_BxFxN, stop_language_gradient=stop_language_gradient
        )

    def transform(self, tokens_BxTxP: jax.Array, keys: DropoutKeys | None = None) -> jax.Array:
        """Outputs [B, S, E] of the tower, one per token for a transformer; with dropout if keys are given."""
        with jax.default_matmul_precision(self.config.matmul_precision):
            return self.tower(tokens_BxTxP, keys if self.config.dropout else None)

    def transform_together(
        self, tokens: Mapping[str, jax.Array], example_keys: Mapping[str, jax.Array], step_key: jax.Array
    ) -> dict[str, jax.Array]:
        """Outputs of several batches of equally long sequences, by name, in one pass with dropout.

        The tower is shared, and one large batch is faster than several small ones.

        Args:
          tokens: by name, tokens_BxTxP.
          example_keys: by name, one key per sequence.
          step_key: the key for dropout that all sequences of a step share.
        """
        keys = DropoutKeys(jnp.concatenate([example_keys[name] for name in tokens]), step_key)
        outputs_BxSxE = self.transform(jnp.concatenate(list(tokens.values())), keys)
        ends = np.cumsum([len(rows) for rows in tokens.values()])
        return dict(zip(tokens, jnp.split(outputs_BxSxE, ends[:-1]), strict=True))

    def attention_weights(self, tokens_BxTxP: jax.Array) -> jax.Array:
        """Attention weights [L, B, H, T, T] of query and key tokens in all layers, float32, for analysis.

        Raises:
          ValueError: if the model is not a transformer, in which all tokens attend to all tokens.
        """
        if not isinstance(self.tower, Transformer):
            raise ValueError(f"the model's architecture is {self.config.architecture}; attention needs a transformer")
        with jax.default_matmul_precision(self.config.matmul_precision):
            return self.tower.attention_weights(tokens_BxTxP)

    def answer(self, outputs_BxSxE: jax.Array, head: str) -> jax.Array:
        """Logits [B, size of the head] from the output of CLS, float32."""
        with jax.default_matmul_precision(self.config.matmul_precision):
            return self.heads[head](outputs_BxSxE[:, 0])

    def infill(self, outputs_BxSxE: jax.Array) -> jax.Array:
        """Latents [B, F, N, D] from f, a linear map of the outputs of the objects (paper, section 2.1), float32."""
        config = self.config
        if not config.infill:
            raise ValueError("the model was built without its infill map (infill=False)")
        places = config.frames * config.slots // self.tower.objects_per_output
        with jax.default_matmul_precision(config.matmul_precision):
            latents = self.infill_map(outputs_BxSxE[:, -places:].astype(jnp.float32))
            return latents.reshape(-1, config.frames, config.slots, config.latent)
