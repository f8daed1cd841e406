"""The authors' released model: its configuration, weights and forward pass, reproduced to float32 rounding.

Source: google-deepmind/deepmind-research, object_attention_for_reasoning. `aloe.model.tensorflow_checkpoint` reads the
variables of their checkpoints.
"""

import dataclasses
import fnmatch
import functools
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from tabulate import tabulate

from aloe.errors import InputError
from aloe.model.aloe import Aloe
from aloe.model.config import ModelConfig
from aloe.model.transformer import STACKED

QUESTION_WORDS, CHOICE_WORDS = 20, 12
VOCABULARY, ANSWERS = 82, 22
QUESTION_TAG, CHOICE_TAG = (1.0, 0.0), (0.0, 1.0)

# Variables without a use: an 18 → 18 map that was made for infilling, and the training's step counter.
UNUSED = ("linear_4/w", "linear_4/b", "global_step")

_NAMES = {  # path of a parameter: name of the variable that holds it
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
    """The released model; with sizes other than the defaults, one like it."""
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


@dataclasses.dataclass(frozen=True)
class Variable:
    """One released variable: its name and shape, and the path of our equivalent parameter, or of one layer of it."""

    name: str
    shape: tuple[int, ...]
    path: str


def variables_of(config: ModelConfig) -> list[Variable]:
    """The released variables that a model uses, in the order of our parameters."""
    return [variable for _, _, variables in _mapping(config) for variable in variables]


def params_from_variables(
    variables: Mapping[str, np.ndarray], config: ModelConfig, passed_over: Collection[str] = ()
) -> nnx.State:
    """Our parameters from the released variables by name.

    Args:
      variables: those of a checkpoint.
      config: that of the model, the released one or one like it.
      passed_over: names, or `fnmatch` patterns, of variables that may be left over.

    Raises:
      InputError: lists every variable that is missing, not as it should be, or left over.
    """
    params, faults = [], []
    for path, shape, parts in _mapping(config):
        values = []
        for part in parts:
            fault = _fault(variables.get(part.name), part.shape)
            if fault:
                faults.append(f"{part.name} {fault}; it is our {part.path}")
            else:
                values.append(np.asarray(variables[part.name], np.float32))
        if len(values) == len(parts):
            params.append((path, nnx.Param(jnp.asarray(np.stack(values).reshape(shape)))))
    known = {part.name for part in variables_of(config)}
    faults += [
        f"{name} of shape {np.shape(variables[name])} is left over"
        for name in sorted(variables.keys() - known)
        if not any(fnmatch.fnmatchcase(name, pattern) for pattern in (*UNUSED, *passed_over))
    ]
    if faults:
        raise InputError(
            f"the variables do not make a model of {config.layers} layers and {config.heads} heads; give other "
            "sizes (--config.model.layers, …), pass over what only a training needs (--pass_over=*/Adam*,…), or mend "
            "them:\n  " + "\n  ".join(faults)
        )
    return nnx.from_flat_state(params)


def mapping_table(variables: Mapping[str, np.ndarray], config: ModelConfig) -> str:
    """A line for every variable of a checkpoint: name, shape, and our equivalent parameter."""
    ours = {variable.name: variable.path for variable in variables_of(config)}
    place = {name: number for number, name in enumerate(ours)}
    order = sorted(variables, key=lambda name: (place.get(name, len(ours)), name))
    rows = [(name, "×".join(map(str, np.shape(variables[name]))), ours.get(name, "(no use)")) for name in order]
    return tabulate(rows, headers=("released", "shape", "ours"), disable_numparse=True)


def _fault(value: np.ndarray | None, shape: tuple[int, ...]) -> str | None:
    if value is None:
        return "is missing"
    if np.shape(value) != shape:
        return f"has shape {np.shape(value)} instead of {shape}"
    if not np.issubdtype(np.asarray(value).dtype, np.floating):
        return f"holds {np.asarray(value).dtype} instead of floating-point numbers"
    return None if np.isfinite(value).all() else "holds numbers that are not finite"


def _mapping(config: ModelConfig) -> Iterator[tuple[tuple[Any, ...], tuple[int, ...], list[Variable]]]:
    """Path and shape of each of our parameters, and the variable that it equals, or those that it stacks."""
    for path, param in nnx.to_flat_state(_abstract(config)[1]):
        path_text = "/".join(map(str, path))
        _, _, within_layer = path_text.partition(f"tower/{STACKED}/")
        if not within_layer:
            yield path, param.shape, [Variable(_NAMES[path_text], param.shape, path_text)]
            continue
        shape = param.shape[1:]
        if within_layer.endswith(("content_bias", "position_bias")):
            shape = (1, shape[0], 1, shape[1])
        name = _LAYER_NAMES[within_layer]
        yield (
            path,
            param.shape,
            [
                Variable(f"transformer_tower/layer_{layer}/{name}", shape, f"{path_text}[{layer}]")
                for layer in range(config.layers)
            ],
        )


def forward(
    params: nnx.State,
    config: ModelConfig,
    latents_BxFxNxD: jax.Array,
    question_BxW: jax.Array,
    choices_BxCxW: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """Answers to a question read as a descriptive one, and to each of its choices read as a multiple-choice one.

    Slots are not shuffled. Word ids are padded with 0 to QUESTION_WORDS and CHOICE_WORDS. As in the released code, a
    descriptive question is followed by a choice of only padding, and all its words carry the tag of choices.

    Returns:
      Logits of the answers [B, ANSWERS], and of each choice being correct [B, C], float32.

    Raises:
      InputError: if the words are not padded to those lengths.
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
