"""Weights are read back as they were written, and refused if they are not what their record says."""

import json

import numpy as np
import pytest
from flax import nnx

from aloe.errors import InputError
from aloe.perception.monet import trained, weights
from aloe.perception.monet.config import MonetConfig
from aloe.perception.monet.model import Monet

SIZES = {"size": 16, "slots": 3, "latent": 5, "attention_width": 4, "attention_hidden": 8, "component_width": 4}
CONFIG = MonetConfig(**SIZES, component_hidden=8, dtype="float32")


def fresh(seed=0):
    return nnx.to_pure_dict(nnx.state(Monet(CONFIG, rngs=nnx.Rngs(seed)), nnx.Param))


@pytest.fixture
def written(tmp_path):
    """A folder that holds weights named "tiny"."""
    told = {name: name for name in weights.TOLD}
    record = weights.Record(vars(CONFIG), step=7, seed=3, trained=told, scores={"foreground_ari": 50.0})
    weights.write(tmp_path / "tiny", record, fresh())
    return tmp_path


def test_they_are_read_as_they_were_written(written):
    read = trained.shipped(written / "tiny")
    assert read.config == CONFIG
    image_BxYxXx3 = np.random.default_rng(0).uniform(size=(2, 16, 16, 3)).astype(np.float32)
    graphdef = nnx.split(Monet(CONFIG, rngs=nnx.Rngs(1)))[0]
    for mine, expected in zip(
        nnx.merge(graphdef, read.params).encode(image_BxYxXx3),
        nnx.merge(graphdef, fresh()).encode(image_BxYxXx3),
        strict=True,
    ):
        np.testing.assert_array_equal(mine, expected)
    assert (read.description["weights"], read.description["step"]) == ("tiny", 7)
    assert read.description["checksum"] == trained.checksum(fresh()) != trained.checksum(fresh(1))


def test_they_do_not_name_the_folder_they_were_written_to(written):
    files = [path for path in (written / "tiny").rglob("*") if path.is_file()]
    assert any(path.name == "weights.json" for path in files)
    assert not [path for path in files if str(written).encode() in path.read_bytes()]


def test_a_folder_that_is_there_is_left_alone(written):
    record, params = weights.read(written / "tiny")
    with pytest.raises(InputError, match="is there already"):
        weights.write(written / "tiny", record, params)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("latent", 6, "cannot be read as the parameters of the model"),
        ("slots", 1, "model.slots is 1"),
        ("width", 8, "the model's fields are .*width"),
    ],
)
def test_a_record_of_another_model_is_refused(written, field, value, message):
    path = written / "tiny" / weights.RECORD
    record = json.loads(path.read_text())
    record["model"][field] = value
    path.write_text(json.dumps(record))
    with pytest.raises(InputError, match=message):
        weights.read(written / "tiny")


def test_damaged_parameters_are_refused(written):
    # Every data file is truncated: their number varies between writes, and the metadata can be larger than any of them.
    for path in (written / "tiny" / weights.PARAMS).glob("**/d/*"):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match="cannot be read as the parameters"):
        weights.read(written / "tiny")


def test_a_name_that_is_none_is_answered_with_the_nearest(monkeypatch, written):
    monkeypatch.setattr(weights, "FOLDER", written)
    assert weights.names() == ["tiny"]
    assert trained.located("tiny") == "tiny"
    with pytest.raises(InputError, match=r"tin: neither .* did you mean tiny\?"):
        trained.read(trained.located("tin"))
