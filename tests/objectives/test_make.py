"""An objective from its configuration: every choice gives the function that it names, and mistakes are named."""

import functools
import itertools

import jax
import numpy as np
import pytest

from aloe import objectives
from aloe.config import resolve
from aloe.errors import InputError
from aloe.objectives import losses, masks

FRAMES, SLOTS = 10, 3
SCHEMES = ("one_object_per_frame", "uniform", "predict_objects", "predict_scenes", "infill_objects", "infill_scenes")


KEY = jax.eval_shape(lambda: jax.random.key(0))
LATENTS = jax.ShapeDtypeStruct((2, FRAMES, SLOTS, 4), np.float32)


def program(function, *arguments):
    """All that a function computes, including constants: functions with equal programs are equal, without being run."""
    return str(jax.make_jaxpr(function)(*arguments))


def section(**fields):
    return resolve("clevrer", "paper", {f"objective.{name}": str(value) for name, value in fields.items()}).objective


@pytest.mark.parametrize("mask", SCHEMES)
def test_a_mask_by_its_name_and_settings(mask):
    settings = {"uniform": {"visible": 0.3}, "one_object_per_frame": {}}.get(mask, {"buffer": 2})
    found = objectives.make(section(mask=mask, **settings), FRAMES, SLOTS).scheme
    expected = functools.partial(getattr(masks, mask), frames=FRAMES, slots=SLOTS, **settings)
    assert program(found, KEY) == program(expected, KEY)


LOSSES = [{"loss": "l2"}] + [
    {"loss": "contrastive", "negatives": negatives, "similarity": similarity, "temperature": temperature}
    for negatives, similarity, temperature in itertools.product(("sequence", "frame"), ("dot", "cosine"), (1.0, 0.5))
]


@pytest.mark.parametrize("fields", LOSSES, ids=lambda fields: "-".join(map(str, fields.values())))
def test_a_loss_by_its_name_and_settings(fields):
    expected = losses.squared_distance
    if fields["loss"] == "contrastive":
        expected = functools.partial(
            losses.contrastive,
            same_frame=fields["negatives"] == "frame",
            cosine=fields["similarity"] == "cosine",
            temperature=fields["temperature"],
        )
    found = objectives.make(section(**fields), FRAMES, SLOTS).error
    assert program(found, LATENTS, LATENTS) == program(expected, LATENTS, LATENTS)


def test_the_default_is_the_papers_best():
    """One object per frame and L2 (paper §3.1, figure 4)."""
    objective = section()
    assert (objective.mask, objective.loss, objective.weight) == ("one_object_per_frame", "l2", 0.01)
    assert (objective.visible, objective.buffer, objective.temperature) == (7 / 8, 3, 1.0)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"mask": "infill_object"}, r"config.objective.mask = 'infill_object'.*did you mean infill_objects"),
        ({"loss": "L2"}, r"config.objective.loss = 'L2'.*l2, contrastive"),
        ({"loss": "contrast"}, r"config.objective.loss = 'contrast'.*did you mean contrastive"),
        ({"negatives": "frames"}, r"config.objective.negatives = 'frames'.*did you mean frame"),
        ({"similarity": "cosin"}, r"config.objective.similarity = 'cosin'.*did you mean cosine"),
        ({"temperature": 0.0}, r"config.objective.temperature = 0.0"),
        ({"temperature": -1.0}, r"config.objective.temperature = -1.0"),
        ({"temperature": "1e999"}, r"config.objective.temperature = inf"),
        ({"visible": 0.0}, r"config.objective.visible = 0.0"),
        ({"visible": 1.0}, r"config.objective.visible = 1.0"),
        ({"buffer": -1}, r"config.objective.buffer = -1"),
        ({"weight": -0.01}, r"config.objective.weight = -0.01"),
        ({"mask": "predict_scenes", "buffer": 9}, r"config.objective.buffer = 9: predict_scenes .* at least 11 frames"),
        ({"mask": "predict_objects", "buffer": 9}, r"predict_objects .* 11 frames.* config.model.frames = 10"),
        ({"mask": "infill_scenes", "buffer": 4}, r"config.objective.buffer = 4: infill_scenes .* at least 11 frames"),
        ({"mask": "infill_objects", "buffer": 4}, r"infill_objects .* 11 frames.* config.model.frames = 10"),
    ],
)
def test_what_is_wrong_is_named(fields, message):
    with pytest.raises(InputError, match=message):
        objectives.make(section(**fields), FRAMES, SLOTS)


def test_not_a_number_is_no_temperature():
    fields = section().copy_and_resolve_references()
    fields.temperature = float("nan")
    with pytest.raises(InputError, match=r"config.objective.temperature = nan"):
        objectives.make(fields, FRAMES, SLOTS)


@pytest.mark.parametrize(("mask", "buffer"), [("predict_scenes", 8), ("infill_objects", 3), ("uniform", 100)])
def test_a_buffer_that_just_fits_or_is_not_used_is_taken(mask, buffer):
    scheme = objectives.make(section(mask=mask, buffer=buffer), FRAMES, SLOTS).scheme
    assert all(mask.shape == (FRAMES, SLOTS) for mask in jax.eval_shape(scheme, KEY))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, r"objective.mask.*model.slots = 1"),
        ({"mask": "uniform", "loss": "contrastive", "negatives": "frame"}, r"negatives.*slots = 1.*sequence"),
    ],
)
def test_a_single_slot_goes_only_where_others_are_not_needed(fields, message):
    with pytest.raises(InputError, match=message):
        objectives.make(section(**fields), FRAMES, 1)
    objectives.make(section(mask="predict_objects", loss="contrastive"), FRAMES, 1)
