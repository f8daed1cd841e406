"""What an optimizer needs to know about a parameter, derived from its path in the parameter tree.

The paths are those of `jax.tree_util.tree_map_with_path` over the parameters of a model.
"""

import jax
from jax.tree_util import KeyPath

from aloe.model.transformer import STACKED

# The rest are weight matrices, "kernel", and word embeddings, "embedding".
_VECTORS = frozenset({"scale", "bias", "content_bias", "position_bias", "cls", "mask"})


def is_stacked(path: KeyPath) -> bool:
    """Whether the leading axis of the parameter is the layers, each of which is a parameter of its own."""
    names = _names(path)
    return names[0] == "tower" and STACKED in names


def is_vector(path: KeyPath) -> bool:
    """Whether the parameter is a LayerNorm's scale or offset, a bias, CLS or the mask token.

    These are usually excluded from weight decay and from LAMB's trust ratio.
    """
    return _names(path)[-1] in _VECTORS


def _names(path: KeyPath) -> list[str]:
    names = [jax.tree_util.keystr((key,), simple=True) for key in path]
    return names[:-1] if names[-1] == "value" else names  # of an nnx variable, whose own name precedes it
