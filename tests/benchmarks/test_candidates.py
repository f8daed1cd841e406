"""The candidates measured match the definition, and their gradients match those of the path in use."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aloe import attention
from aloe.attention import relative_attention
from aloe.attention.definition import FORMS
from aloe.model.block import Block
from aloe.model.config import ModelConfig
from aloe.model.fused_block import FusedBlock, chosen_block
from benchmarks import paths
from benchmarks.paths import PAIRS_AGAIN, PATHS
from tests.attention.cases import defined, draw, dropout_for


def outputs_and_gradients(path, arguments, cotangent, form, dropout):
    with {**PATHS, **PAIRS_AGAIN}[path](), jax.enable_x64(True):

        def product(*arguments):
            out, _ = relative_attention(*arguments, form=form, dropout=dropout)
            return jnp.sum(out * cotangent), out

        (_, out), gradients = jax.jit(jax.value_and_grad(product, range(6), has_aux=True))(*map(jnp.asarray, arguments))
    return [np.asarray(array) for array in (out, *gradients)]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("tokens", "heads", "size", "rate"), [(1, 2, 2, 0), (2, 1, 4, 0), (13, 3, 6, 0), (13, 3, 6, 0.3)]
)
@pytest.mark.parametrize("path", ["shift", "angle addition", "rank", *PAIRS_AGAIN])
def test_is_the_definition(path, tokens, heads, size, rate, form):
    arguments, cotangent = draw(tokens, heads, size)
    dropout = dropout_for(2, rate)
    expected, _ = defined(dropout, tokens, heads, form=form)(*arguments)
    actual, *gradients = outputs_and_gradients(path, arguments, cotangent, form, dropout)
    np.testing.assert_allclose(actual, expected, atol=1e-8 * np.abs(expected).max())
    _, *in_use = outputs_and_gradients("chosen", arguments, cotangent, form, dropout)
    for gradient, other in zip(gradients, in_use, strict=True):
        np.testing.assert_allclose(gradient, other, atol=1e-7 * np.abs(other).max() + 1e-12)


def test_what_is_taken_is_told_and_plain_paths_are_plain_wherever_kernels_are_chosen(monkeypatch):
    monkeypatch.setattr(attention, "chosen_path", lambda *_: "kernels")
    assert paths.taken("chosen", "bidirectional", 18, jnp.bfloat16, 57, 180) == "kernels"
    assert paths.different("bidirectional", 18, jnp.bfloat16, 57, 180) == list(PATHS)
    for path in ("rank", "shift", "angle addition"):
        assert paths.taken(path, "bidirectional", 18, jnp.bfloat16, 57, 180) == "xla"
    monkeypatch.undo()
    assert "rank" not in paths.different("bidirectional", 18, jnp.bfloat16, 57, 180)  # on a CPU it is the chosen path


def test_plain_paths_have_plain_blocks(monkeypatch):
    config = ModelConfig(layers=1, heads=2, latent=6, slots=2, frames=2, outputs={"answer": 3}, dtype="bfloat16")
    monkeypatch.setattr(attention, "_has_gpu", lambda: True)
    assert chosen_block(config, config.tokens) is FusedBlock
    for path in ("rank", "shift", "angle addition"):
        with PATHS[path]():
            assert chosen_block(config, config.tokens) is Block


def test_a_path_is_taken_inside_its_context_alone():
    arguments, _ = draw(4, 1, 2)

    def program():
        return str(jax.make_jaxpr(lambda *arguments: relative_attention(*arguments)[0])(*arguments))

    before = program()
    with PATHS["shift"]():
        assert "pad" in program()
    assert program() == before
    assert "pad" not in before
