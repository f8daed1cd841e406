"""The batch that fits is found by halving; a compiler that runs out of memory counts as not fitting."""

import jax
import jax.numpy as jnp
import pytest

from benchmarks.programs import cost, largest_that_fits


def doubled(size):
    return jax.jit(lambda x: 2 * x).lower(jax.ShapeDtypeStruct((size, 1000), jnp.float32)).compile()


def test_memory_of_a_program():
    said = cost(doubled(10))
    assert said.total_bytes - said.temporary_bytes == 2 * 4 * 10 * 1000


def test_halves_until_it_fits():
    compiled_sizes = []

    def compile_for(size):
        compiled_sizes.append(size)
        return doubled(size)

    size, compiled = largest_that_fits(compile_for, 24, limit=7 * 8000)
    assert size == 6
    assert compiled_sizes == [24, 6], "12 cannot fit where 24 takes 24/7 of the limit"
    assert compiled(jnp.ones((6, 1000))).shape == (6, 1000)


def test_nothing_fits():
    with pytest.raises(MemoryError):
        largest_that_fits(doubled, 4, limit=7999)


def test_a_compiler_that_runs_out_of_memory_is_one_that_does_not_fit():
    def compile_for(size):
        if size > 2:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Ran out of memory in memory space hbm.")
        return doubled(size)

    assert largest_that_fits(compile_for, 8, limit=1 << 30)[0] == 2


def test_other_errors_are_not_hidden():
    def compile_for(size):
        raise jax.errors.JaxRuntimeError("INTERNAL: something else")

    with pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL"):
        largest_that_fits(compile_for, 8, limit=1 << 30)
