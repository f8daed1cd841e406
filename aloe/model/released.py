"""The authors' CLEVRER model: their configuration, weights and forward pass, reproduced to the rounding of float32.

Source: google-deepmind/deepmind-research, object_attention_for_reasoning. Read a checkpoint of theirs with TensorFlow's
`tf.train.load_checkpoint`, which gives its variables by name.
"""

import functools
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from aloe.errors import InputError
from aloe.model.aloe import Aloe
from aloe.model.config import ModelConfig
from aloe.model.transformer import STACKED

QUESTION_WORDS, CHOICE_WORDS = 20, 12
VOCABULARY, ANSWERS = 82, 22
QUESTION_TAG, CHOICE_TAG = (1.0, 0.0), (0.0, 1.0)

# An 18 → 18 map that was made for infilling, which neither the released forward pass nor ours has a use for.
_IGNORED = frozenset({"linear_4/w", "linear_4/b"})

_NAMES = {  # of the variable that holds the parameter at a path
    "embedding/cls": "dummy",
    "embedding/mask": "mask",
    "embedding/words/embedding": "embed/embeddings",
    "tower/projection/kernel": "transformer_tower/mlp/linear_0/w",
    "tower/projection/bias": "transformer_tower/mlp/linear_0/b",
    "heads/choice/hidden/kernel": "linear/w",
    "heads/choice/hidden/bias": "linear/b",
    "heads/choice/logits/kernel": "linear_1/w",
    "heads/choice/logits/bias": "linear_1/b",
    "heads/descriptive/hidden/kernel": "linear_2/w",
    "heads/descriptive/hidden/bias": "linear_2/b",
    "heads/descriptive/logits/kernel": "linear_3/w",
    "heads/descriptive/logits/bias": "linear_3/b",
}
_LAYER_NAMES = {  # the same within a layer
    "attention_norm/scale": "residual_dropout_wrapper/layer_norm/gamma",
    "attention_norm/bias": "residual_dropout_wrapper/layer_norm/beta",
    "attention/query/kernel": "multihead_attention/query/linear/w",
    "attention/key/kernel": "multihead_attention/key/linear/w",
    "attention/value/kernel": "multihead_attention/value/linear/w",
    "attention/relative_key/kernel": "multihead_attention/relative_keys/linear/w",
    "attention/content_bias": "multihead_attention/r_w_bias",
    "attention/position_bias": "multihead_attention/r_r_bias",
    "attention/output/kernel": "multihead_attention/linear/w",
    "attention/output/bias": "multihead_attention/linear/b",
    "mlp_norm/scale": "residual_dropout_wrapper_1/layer_norm/gamma",
    "mlp_norm/bias": "residual_dropout_wrapper_1/layer_norm/beta",
    "mlp/expand/kernel": "mlp/linear_0/w",
    "mlp/expand/bias": "mlp/linear_0/b",
    "mlp/contract/kernel": "mlp/linear_1/w",
    "mlp/contract/bias": "mlp/linear_1/b",
}


def config(layers: int = 28, heads: int = 10, frames: int = 25) -> ModelConfig:
    """The released model; with other sizes than the defaults, one like it."""
    return ModelConfig(
        layers=layers,
        heads=heads,
        latent=16,
        slots=8,
        frames=frames,
        outputs={"choice": 1, "descriptive": ANSWERS},
        vocabulary=VOCABULARY,
        relative_form="released",
        mask_token="learned",
        infill=False,
        dtype="float32",
    )


def params_from_variables(variables: Mapping[str, np.ndarray], config: ModelConfig) -> nnx.State:
    """Our parameters from the released variables by name.

    Raises:
      InputError: listing every variable that is missing, has another shape, or is of no use.
    """
    params, used, faults = [], set(), []

    def read(name: str, shape: tuple[int, ...], released_shape: tuple[int, ...]) -> np.ndarray:
        used.add(name)
        if name not in variables:
            faults.append(f"{name} is missing")
        elif np.shape(variables[name]) != released_shape:
            faults.append(f"{name} has shape {np.shape(variables[name])} instead of {released_shape}")
        else:
            return np.asarray(variables[name], np.float32).reshape(shape)
        return np.zeros(shape, np.float32)

    for path, param in nnx.to_flat_state(_abstract(config)[1]):
        path_text = "/".join(map(str, path))
        _, _, within_layer = path_text.partition(f"tower/{STACKED}/")
        if within_layer:
            shape = param.shape[1:]
            with_unit_axes = within_layer.endswith(("content_bias", "position_bias"))
            released_shape = (1, shape[0], 1, shape[1]) if with_unit_axes else shape
            names = [f"transformer_tower/layer_{layer}/{_LAYER_NAMES[within_layer]}" for layer in range(config.layers)]
            value = np.stack([read(name, shape, released_shape) for name in names])
        else:
            value = read(_NAMES[path_text], param.shape, param.shape)
        params.append((path, nnx.Param(jnp.asarray(value))))
    faults += [f"{name} is of no use" for name in sorted(variables.keys() - used - _IGNORED)]
    if faults:
        raise InputError(
            f"the variables do not make a model of {config.layers} layers and {config.heads} heads; give other "
            "sizes in the config, or mend them:\n  " + "\n  ".join(faults)
        )
    return nnx.from_flat_state(params)


def forward(
    params: nnx.State,
    config: ModelConfig,
    latents_BxFxNxD: jax.Array,
    question_BxW: jax.Array,
    choices_BxCxW: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """Answers to a question read as a descriptive one, and to every choice of it read as a multiple-choice one.

    Slots are not shuffled. Word ids are padded with 0 to QUESTION_WORDS and CHOICE_WORDS. As in the released code, a
    descriptive question is followed by a choice of padding alone, and all its words carry the tag of choices.

    Returns:
      Logits of the answers [B, ANSWERS], and of each choice being correct [B, C], float32.

    Raises:
      InputError: where the words are not padded to those lengths.
    """
    batch, choices = choices_BxCxW.shape[:2]
    for name, words, length in (("question", question_BxW, QUESTION_WORDS), ("choices", choices_BxCxW, CHOICE_WORDS)):
        if words.shape[-1] != length:
            raise InputError(f"{name} of shape {words.shape}: pad it with 0 to {length} words")
    graphdef, _ = _abstract(config)
    model = nnx.merge(graphdef, params)

    def outputs(latents_BxFxNxD: jax.Array, words_BxW: jax.Array, question_tag: tuple[float, float]) -> jax.Array:
        tags_Wx2 = jnp.array([question_tag] * QUESTION_WORDS + [CHOICE_TAG] * CHOICE_WORDS)
        tags_BxWx2 = jnp.broadcast_to(tags_Wx2, (*words_BxW.shape, 2))
        return model.transform(model.tokens(latents_BxFxNxD, words_BxW, tags_BxWx2))

    padding_BxW = jnp.zeros((batch, CHOICE_WORDS), question_BxW.dtype)
    descriptive = outputs(latents_BxFxNxD, jnp.concatenate([question_BxW, padding_BxW], axis=1), CHOICE_TAG)

    question_BxCxW = jnp.broadcast_to(question_BxW[:, None], (batch, choices, QUESTION_WORDS))
    words_BxCxW = jnp.concatenate([question_BxCxW, choices_BxCxW], axis=-1)
    each_choice = outputs(
        jnp.repeat(latents_BxFxNxD, choices, axis=0), words_BxCxW.reshape(batch * choices, -1), QUESTION_TAG
    )
    return model.answer(descriptive, "descriptive"), model.answer(each_choice, "choice").reshape(batch, choices)


@functools.lru_cache(maxsize=16)
def _abstract(config: ModelConfig) -> tuple[nnx.GraphDef, nnx.State]:
    return nnx.split(nnx.eval_shape(lambda: Aloe(config, rngs=nnx.Rngs(0))), nnx.Param)
