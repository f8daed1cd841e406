"""Reading the compiler's text: loops count as often as they run, and operations without an estimate count as zero."""

import pytest

from benchmarks import hlo

TEXT = """\
HloModule jit_step, is_scheduled=true

%fused (param: f32[8]) -> f32[8] {
  %param = f32[8]{0} parameter(0)
  ROOT %inner = f32[8]{0} add(%param, %param), backend_config={"window_config":{"estimated_cycles":"7"}}
}

%body.1 (state: (s32[], f32[8])) -> (s32[], f32[8]) {
  %state = (s32[], f32[8]{0}) parameter(0)
  %fusion.1 = f32[8]{0} fusion(%state), kind=kLoop, calls=%fused, backend_config={"estimated_cycles":"100"}
  %reshape.1 = f32[2,4]{1,0} reshape(%fusion.1)
  %psum.1 = f32[8]{0} all-reduce(%fusion.1), channel_id=1, to_apply=%sum
}

%condition.1 (state: (s32[], f32[8])) -> pred[] {
  %limit = s32[]{:T(256)} constant(5)
  ROOT %less = pred[] compare(%index, %limit), direction=LT
}

ENTRY %main (a: f32[8]) -> f32[8] {
  %a = f32[8]{0} parameter(0)
  %while.1 = (s32[], f32[8]{0}) while(%a), condition=%condition.1, body=%body.1, metadata={op_name="while"}
  %psum.2 = (bf16[3,2]{1,0}, f32[]) all-reduce-start(%a), channel_id=2, to_apply=%sum
  ROOT %fusion.2 = f32[8]{0} fusion(%while.1), kind=kLoop, calls=%fused, backend_config={"estimated_cycles":"11"}
}
"""


def test_cycles_of_loops_count_as_often_as_they_run():
    assert hlo.estimated_cycles(TEXT) == 5 * 100 + 11


def test_loops_that_the_compiler_makes_count_in_unsigned_numbers():
    assert hlo.estimated_cycles(TEXT.replace("%limit = s32[]", "%limit = u32[]")) == 5 * 100 + 11


def test_bytes_of_all_reductions():
    assert hlo.all_reduced_bytes(TEXT) == 5 * 8 * 4 + (3 * 2 * 2 + 4)


def test_a_loop_of_unknown_length_is_refused():
    with pytest.raises(ValueError, match="one limit"):
        hlo.estimated_cycles(TEXT.replace("constant(5)", "get-tuple-element(%state), index=1"))
