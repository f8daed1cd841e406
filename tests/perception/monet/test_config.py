import pytest

from aloe.errors import InputError
from aloe.perception.monet.config import MonetConfig


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("size", 48),
        ("size", 8),
        ("slots", 1),
        ("latent", 0),
        ("attention_width", 2.0),
        ("log_floor", 6.0),
        ("dtype", "float16"),
    ],
)
def test_what_makes_no_model_is_refused_by_its_name(field, value):
    with pytest.raises(InputError, match=rf"model.{field} is {value}|model.{field} is '{value}'"):
        MonetConfig(**{field: value})


def test_the_unet_has_the_papers_blocks():
    assert {size: MonetConfig(size=size).blocks for size in (64, 128)} == {64: 5, 128: 6}
