"""Our own problems, compared with the description of the dataset."""

import functools

import numpy as np
import pytest

from aloe.tasks.acre import generator
from aloe.tasks.acre.objects import REGIMES, attributes
from aloe.tasks.acre.problems import TYPES
from tests.tasks.acre import brute_force

# Shares among the official test queries of IID, Comp and Sys (2,000 problems each).
OFFICIAL = {
    "label 0": (0.371, 0.352, 0.329),
    "label 1": (0.264, 0.261, 0.299),
    "label 2": (0.365, 0.387, 0.372),
    "direct 0": (0.119, 0.143, 0.073),
    "direct 2": (0.243, 0.265, 0.259),
    "indirect 2": (0.123, 0.122, 0.113),
    "screen_off 0": (0.251, 0.209, 0.256),
    "potential 1": (0.264, 0.261, 0.299),
}
OFFICIAL_OBJECTS = {"IID": (0.17, 0.33, 0.34, 0.17), "Comp": (0.17, 0.36, 0.32, 0.16), "Sys": (0.15, 0.35, 0.33, 0.17)}


@functools.cache
def problems(regime, split="test", number=2_000):
    pool = range(len(attributes(regime, split)))
    drawn_as = generator.regime(regime, split)
    return [generator.draw(drawn_as, pool, index, np.random.default_rng((7, index))) for index in range(number)]


@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.parametrize("split", ["train", "test"])
def test_labels_are_those_of_the_logical_or(regime, split):
    for problem in problems(regime, split, 150):
        for query in problem.queries:
            assert query.label == brute_force.label(problem.context, query.objects)
            assert query.label in TYPES[query.type]


@pytest.mark.parametrize("regime", REGIMES)
def test_statistics_are_those_of_the_official_set(regime):
    told = generator.statistics(problems(regime))
    assert set(told) == set(OFFICIAL)
    for name, shares in OFFICIAL.items():
        # With 8,000 queries, one standard deviation is half a point; so it is for the official figures.
        assert told[name] == pytest.approx(shares[REGIMES.index(regime)], abs=0.025), name
    objects = [len({each for panel in problem.context for each in panel.objects}) for problem in problems(regime)]
    shares = [objects.count(number) / len(objects) for number in (5, 6, 7, 8)]
    np.testing.assert_allclose(shares, OFFICIAL_OBJECTS[regime], atol=0.035)


@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.parametrize("split", ["train", "test"])
def test_panels_are_built_as_described(regime, split):
    lit_numbers = set()
    for problem in problems(regime, split, 150):
        habituation, evidence = problem.context[:3], problem.context[3:]
        alone = {panel.objects[0]: panel.lit for panel in habituation if len(panel.objects) == 1}
        assert sorted(alone.values()) == [False, True]
        (together,) = (panel for panel in habituation if len(panel.objects) == 2)
        assert together.lit
        assert set(together.objects) == set(alone)
        assert not set(alone) & {each for panel in evidence for each in panel.objects}
        lit = sum(panel.lit for panel in evidence)
        lit_numbers.add(lit)
        assert all(1 <= len(panel.objects) == len(set(panel.objects)) for panel in problem.context)
        one, other, *interventions = problem.queries
        assert len(one.objects) == len(other.objects) == 1
        assert one.objects != other.objects
        for query in interventions:
            base = problem.context[query.ref]
            assert not base.lit
            assert query.objects[: len(base.objects)] == base.objects
            assert len(set(query.objects)) == len(query.objects) > len(base.objects)
        assert interventions[0].ref == interventions[1].ref
    assert lit_numbers == ({1} if (regime, split) == ("Sys", "train") else {2} if regime == "Sys" else {1, 2})


def test_which_objects_a_problem_has_says_nothing():
    """All ids are drawn equally often, and labels do not depend on them."""
    every = problems("IID")
    counts = np.bincount([each for problem in every for each in {o for p in problem.context for o in p.objects}])
    assert len(counts) == 48
    assert counts.min() > 0.75 * counts.mean()
    assert counts.max() < 1.25 * counts.mean()
    lit = [[q.label == 2 for p in every for q in p.queries[:2] if q.objects[0] // 16 == shape] for shape in range(3)]
    np.testing.assert_allclose([np.mean(each) for each in lit], np.mean(np.concatenate(lit)), atol=0.05)


def test_comp_has_other_objects_in_train_than_in_the_other_splits():
    train, validation, test = (attributes("Comp", split) for split in ("train", "validation", "test"))
    assert validation == test
    assert len(set(train)) == len(set(test)) == 24
    assert not set(train) & set(test)
    assert len(set(attributes("IID", "train"))) == 48
    assert attributes("IID", "test") == attributes("Sys", "train")
    assert attributes("IID", "train")[3] == ("cube", "red", "metal")  # id = 16 · shape + 2 · colour + material
    assert attributes("IID", "train")[47] == ("sphere", "yellow", "metal")
