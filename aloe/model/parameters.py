"""What an optimizer needs to know of a parameter, told by its path in the parameter tree.

The paths are those of `jax.tree_util.tree_map_with_path` over the parameters of a model.
"""

import jax
from jax.tree_util import KeyPath

from aloe.model.tower import STACKED

# Weight matrices and word embeddings are the rest: "kernel" and "embedding".
_VECTORS = frozenset({"scale", "bias", "content_bias", "position_bias", "cls", "mask"})


def is_stacked(path: KeyPath) -> bool:
    """Whether the leading axis of the parameter counts the layers, each of which is a parameter of its own."""
    return STACKED in _names(path)


def is_vector(path: KeyPath) -> bool:
    """Whether the parameter is a LayerNorm's scale or offset, a bias, CLS or the mask token.

    These are usually left out of weight decay and of LAMB's trust ratio.
    """
    return not _VECTORS.isdisjoint(_names(path))


def _names(path: KeyPath) -> list[str]:
    return [jax.tree_util.keystr((key,), simple=True) for key in path]
