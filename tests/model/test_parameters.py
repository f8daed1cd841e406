import jax
from flax import nnx

from aloe.model.aloe import Aloe
from aloe.model.config import ModelConfig
from aloe.model.parameters import is_stacked, is_vector

CONFIG = ModelConfig(
    layers=7, heads=2, latent=6, slots=3, frames=4, outputs={"bias": 5, "blocks": 2}, vocabulary=9, mask_token="learned"
)


def leaves():
    params = nnx.state(Aloe(CONFIG, rngs=nnx.Rngs(0)), nnx.Param)
    return jax.tree_util.tree_leaves_with_path(params)


def test_stacked_are_those_of_the_layers():
    stacked = {jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in leaves() if is_stacked(path)}
    assert len(stacked) == 16  # 4 of LayerNorms, 4 projections, 2 biases of logits, 3 layers with kernel and bias
    assert all(name.startswith("tower/blocks/") for name in stacked)
    assert all(is_stacked(path) == (leaf.shape[0] == CONFIG.layers) for path, leaf in leaves())


def test_vectors_are_all_but_matrices():
    """The biases of logits have one vector per head, and are no matrix although they have two axes."""
    for path, leaf in leaves():
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        per_layer = leaf.shape[1:] if is_stacked(path) else leaf.shape
        assert is_vector(path) == (
            len(per_layer) == 1 or name.endswith(("content_bias/value", "position_bias/value"))
        ), name
