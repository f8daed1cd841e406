import dataclasses

import pytest

from aloe.errors import InputError
from aloe.model.config import ModelConfig

CONFIG = ModelConfig(layers=2, heads=2, latent=6, slots=3, frames=4, outputs={"answer": 5}, vocabulary=9)


@pytest.mark.parametrize(
    ("field", "value", "mend"),
    [
        ("layers", 0, "whole number of at least 1"),
        ("layers", True, "whole number of at least 1"),
        ("frames", 2.0, "whole number of at least 1"),
        ("vocabulary", -1, "whole number of at least 0"),
        ("outputs", {}, "every head's answer size"),
        ("architecture", "rnn", "transformer, hierarchical, mlp, lstm"),
        ("layers_within_frames", -1, "whole number of at least 0"),
        ("words", -1, "whole number of at least 0"),
        ("relative_form", "causal", "bidirectional, released"),
        ("mask_token", "one", "zero, learned"),
        ("dtype", "float16", "bfloat16, float32"),
        ("dropout", 0.999, "from 0 to 0.9"),
        ("dropout", "0.1", "from 0 to 0.9"),
        ("loop", "while", "auto, scan, unrolled"),
        ("latent", 2, "at least 3"),
    ],
)
def test_bad_values_name_the_field_and_the_mend(field, value, mend):
    with pytest.raises(InputError) as raised:
        dataclasses.replace(CONFIG, **{field: value})
    assert f"model.{field} is {value!r}" in str(raised.value)
    assert mend in str(raised.value)


def test_bad_answer_size_names_the_head():
    with pytest.raises(InputError, match=r"model\.outputs\.answer is 0"):
        dataclasses.replace(CONFIG, outputs={"answer": 0})


def test_odd_width_is_refused_with_its_numbers():
    with pytest.raises(InputError, match=r"3·\(5 \+ 2\) = 21 is odd"):
        dataclasses.replace(CONFIG, heads=3, latent=5)


@pytest.mark.parametrize("architecture", ["mlp", "lstm"])
def test_where_there_are_no_positions_a_width_may_be_odd(architecture):
    dataclasses.replace(CONFIG, architecture=architecture, heads=3, latent=5, words=2)


@pytest.mark.parametrize(("layers", "within"), [(1, 0), (2, 2), (4, 5)])
def test_both_transformers_of_a_hierarchical_model_need_a_layer(layers, within):
    with pytest.raises(
        InputError, match=rf"layers_within_frames is {within} of model.layers, {layers}; .* more layers"
    ):
        dataclasses.replace(CONFIG, architecture="hierarchical", layers=layers, layers_within_frames=within)


def test_an_mlp_needs_the_number_of_words():
    with pytest.raises(InputError, match=r"model\.words is 0; an mlp needs to know how many words a sequence has"):
        dataclasses.replace(CONFIG, architecture="mlp")
    assert dataclasses.replace(CONFIG, architecture="mlp", words=2).tokens == 1 + 2 + 4 * 3
    assert dataclasses.replace(CONFIG, architecture="mlp", vocabulary=0).tokens == 1 + 4 * 3


def test_widths():
    assert (CONFIG.token, CONFIG.width) == (8, 16)


def test_configs_compare_and_hash_by_value():
    same = dataclasses.replace(CONFIG, outputs=dict(CONFIG.outputs))
    other = dataclasses.replace(CONFIG, outputs={"answer": 6})
    assert same == CONFIG
    assert hash(same) == hash(CONFIG)
    assert other != CONFIG
