"""Bytes that a program moves: for a text whose bytes can be counted by hand, and against XLA's own analysis."""

import jax
import jax.numpy as jnp
import pytest

from benchmarks import hlo, programs, traffic

TEXT = """\
HloModule jit_step, is_scheduled=true

%fused_slice (param_0: f32[4,100], param_1: f32[100]) -> f32[100] {
  %param_0 = f32[4,100]{1,0} parameter(0)
  %slice.1 = f32[1,100]{1,0} slice(%param_0), slice={[2:3], [0:100]}
  %bitcast.1 = f32[100]{0} bitcast(%slice.1)
  %param_1 = f32[100]{0} parameter(1)
  ROOT %add.1 = f32[100]{0} add(%bitcast.1, %param_1)
}

%command_buffer (p: f32[100]) -> (bf16[50,2], pred[50]) {
  %p = f32[100]{0} parameter(0)
  ROOT %kernel.1 = (bf16[50,2]{1,0}, pred[50]{0}) custom-call(%p), custom_call_target="__gpu$xla.gpu.triton"
}

ENTRY %main (a: f32[4,100], b: f32[100]) -> bf16[50,2] {
  %a = f32[4,100]{1,0} parameter(0), metadata={op_name="a"}
  %b = f32[100]{0} parameter(1)
  %fusion.1 = f32[100]{0} fusion(%a, %b), kind=kLoop, calls=%fused_slice, metadata={op_name="f(x)"}
  %call.1 = (bf16[50,2]{1,0}, pred[50]{0}) call(%fusion.1), to_apply=%command_buffer
  %get-tuple-element.1 = bf16[50,2]{1,0} get-tuple-element(%call.1), index=0
  ROOT %copy.1 = bf16[50,2]{0,1} copy(%get-tuple-element.1)
}
"""
FUSION, KERNEL, COPY = 400 + 400 + 400, 400 + 200 + 50, 200 + 200


def test_arguments_and_results_count_and_of_slices_what_they_take():
    assert traffic.accessed_bytes(TEXT) == FUSION + KERNEL + COPY
    whole = TEXT.replace("add(%bitcast.1, %param_1)", "add(%bitcast.1, %param_0)")
    assert traffic.accessed_bytes(whole) == FUSION + 3 * 400 + KERNEL + COPY


def test_a_program_with_a_loop_is_not_counted():
    assert traffic.accessed_bytes(TEXT.replace(" call(", " while(")) is None


def test_only_programs_that_call_what_xla_does_not_analyse_are_counted_here():
    assert traffic.called(TEXT)
    assert traffic.called('custom_call_target="__cudnn$convForward"')
    assert not traffic.called(TEXT.replace("__gpu$xla.gpu.triton", "Sharding"))


def test_elsewhere_it_is_what_xla_says():
    compiled = jax.jit(lambda x, y: (2 * x + y).astype(jnp.bfloat16)).lower(*[jnp.ones((64, 3))] * 2).compile()
    moved = 64 * 3 * (4 + 4 + 2)
    assert programs.accessed_bytes(compiled) == moved
    assert traffic.accessed_bytes(compiled.as_text()) == pytest.approx(moved)


@pytest.mark.parametrize(
    ("types", "expected"), [("f32[]", 4), ("(bf16[3,2]{1,0}, pred[5]{0})", 17), ("f8e4m3fn[4]", 4), ("token[]", 0)]
)
def test_bytes_of_a_type(types, expected):
    assert hlo.array_bytes(types) == expected
