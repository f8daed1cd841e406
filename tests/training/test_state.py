import jax
from flax import nnx

from aloe import config
from aloe.training.optimizer import make_optimizer
from aloe.training.state import abstract_state, initial_state
from tests.training.toy import Toy


def test_the_abstract_state_has_the_shapes_and_dtypes_of_a_real_one():
    task, optimizer = Toy(), make_optimizer(config.resolve("clevrer", "quickstart", {}).optimizer)
    abstract, real = abstract_state(task, optimizer), initial_state(task.model(nnx.Rngs(1)), optimizer)
    assert jax.tree.structure(abstract) == jax.tree.structure(real)
    for shape, leaf in zip(jax.tree.leaves(abstract), jax.tree.leaves(real), strict=True):
        assert isinstance(shape, jax.ShapeDtypeStruct)
        assert (shape.shape, shape.dtype) == (leaf.shape, leaf.dtype)
