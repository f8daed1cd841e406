"""What callers see, whichever path is taken: how it is chosen, and errors."""

import functools
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aloe.attention import chosen_path, relative_attention
from tests.attention.cases import draw


def arguments_of(size=4, dtype=jnp.float32):
    return [jnp.asarray(argument, dtype) for argument in draw(5, 2, size)[0]]


@pytest.mark.parametrize(
    ("platform", "capability", "expected"),
    [("cpu", None, "xla"), ("tpu", None, "xla"), ("gpu", "7.5", "xla"), ("gpu", "8.6", "xla"), ("gpu", "gfx942", "xla"),
     ("gpu", "8.0", "kernels"), ("gpu", "9.0", "kernels"), ("gpu", "10.0", "kernels")],
)  # fmt: skip
def test_kernels_are_for_gpus_that_have_the_memory_for_their_tiles(monkeypatch, platform, capability, expected):
    device = types.SimpleNamespace(platform=platform)
    if capability:
        device.compute_capability = capability
    monkeypatch.setattr(jax, "devices", lambda: [device])
    assert chosen_path("bidirectional", 18, jnp.dtype(jnp.bfloat16), 641, 304) == expected
    assert chosen_path("bidirectional", 128, jnp.dtype(jnp.float32), 57, 512) == expected
    # What the kernels do not support falls back to plain XLA.
    assert chosen_path("released", 18, jnp.dtype(jnp.bfloat16), 641, 304) == "xla"
    assert chosen_path("bidirectional", 129, jnp.dtype(jnp.bfloat16), 641, 304) == "xla"
    assert chosen_path("bidirectional", 18, jnp.dtype(jnp.float64), 57, 180) == "xla"
    assert chosen_path("bidirectional", 18, jnp.dtype(jnp.bfloat16), 57, 180, return_weights=True) == "xla"
    # Feature columns: 168 and 208, which fit; 208 and 248, which do not.
    assert chosen_path("bidirectional", 38, jnp.dtype(jnp.bfloat16), 4096, 304) == expected
    assert chosen_path("bidirectional", 64, jnp.dtype(jnp.bfloat16), 2048, 512) == expected
    assert chosen_path("bidirectional", 128, jnp.dtype(jnp.bfloat16), 2048, 512) == "xla"
    assert chosen_path("bidirectional", 64, jnp.dtype(jnp.bfloat16), 4096, 512) == "xla"


@pytest.mark.parametrize(
    ("size", "dtype", "options", "why"),
    [
        (4, jnp.float32, {"form": "released"}, "the form 'released'"),
        (4, jnp.float32, {"return_weights": True}, "never have the attention weights"),
        (130, jnp.float32, {}, "heads of 130 are larger than 128"),
        (4, jnp.float16, {}, "type float16"),
    ],
)
def test_a_path_that_cannot_be_taken_says_why(size, dtype, options, why):
    with pytest.raises(ValueError, match=f"'interpreted' cannot be taken: .*{why}"):
        relative_attention(*arguments_of(size, dtype), path="interpreted", **options)


def test_unknown_path_is_named():
    with pytest.raises(ValueError, match=r"'cudnn'.*xla, kernels, interpreted"):
        relative_attention(*arguments_of(), path="cudnn")


def test_weights_come_only_when_asked_for():
    arguments = arguments_of()
    assert relative_attention(*arguments)[1] is None
    assert np.asarray(relative_attention(*arguments, return_weights=True)[1]).shape == (2, 2, 5, 5)


@pytest.mark.parametrize("number", range(1, 6))
def test_shapes_that_do_not_fit_are_named(number):
    arguments = arguments_of()
    arguments[number] = arguments[number][..., 1:]
    name = ("q", "k", "v", "relative", "content_bias", "position_bias")[number]
    with pytest.raises(ValueError, match=f"^{name} of shape"):
        relative_attention(*arguments)


def test_unknown_form_is_named():
    arguments = arguments_of()
    with pytest.raises(ValueError, match=r"'causal'.*bidirectional, released"):
        functools.partial(relative_attention, form="causal")(*arguments)
