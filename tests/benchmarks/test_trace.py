"""Time by class of operations."""

import jax
import jax.numpy as jnp
import pytest

from benchmarks import trace


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("nvjet_hsh_128x64 dot.5 dot_general", "matrix products"),
        ("gemm_fusion_dot_3", "matrix products"),
        ("ncclDevKernel_AllReduce_Sum_f32 all-reduce.1 psum", "communication"),
        ("loop_add_fusion.2 loop_add_fusion.2 psum", "elementwise"),  # on one device nothing is sent
        ("void permute_kernel custom-call.4 conv_general_dilated", "elementwise"),
        ("loop_xor_fusion.2 shift_right_logical", "random bits"),
        ("input_transpose_fusion", "copies and reshapes"),
        ("loop_broadcast_fusion", "copies and reshapes"),
        ("input_reduce_fusion.7 reduce_sum", "sums and maxima"),
        ("loop_add_multiply_fusion.3 mul", "elementwise"),
        ("broadcast_add_fusion.3 add", "elementwise"),
        ("attention_queries_gradient attention_queries_gradient.5 ", "kernels of attention"),
        ("residual_sum_ residual_sum_.2 ", "other hand-written kernels"),
    ],
)
def test_class_of(names, expected):
    assert trace.class_of(names) == expected


def test_jax_names():
    line = '  %fusion.3 = f32[8]{0} fusion(%a), metadata={op_name="jit(f)/while/body/dot_general" stack_frame_id=4}'
    assert trace.jax_names(line) == {"fusion.3": "dot_general"}


def test_a_program_of_matrix_products_spends_its_time_on_them():
    x = jnp.ones((400, 400))
    compiled = jax.jit(lambda x: jax.lax.fori_loop(0, 5, lambda _, y: x @ y, x)).lower(x).compile()
    compiled(x).block_until_ready()
    rows = list(trace.rows({"program": "products"}, lambda: compiled(x), compiled))
    assert rows[0].case == {"program": "products", "class": "matrix products"}
    assert rows[0].figures["time_ms"] > 0
    assert rows[0].figures["time_share"] > 0.5
    assert sum(row.figures["time_share"] for row in rows) == pytest.approx(1)
