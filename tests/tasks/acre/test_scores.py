import numpy as np
import pytest

from aloe.tasks.acre import controls, generator, scores
from aloe.tasks.acre.examples import asked
from aloe.tasks.acre.problems import Problem, Query
from aloe.tasks.acre.solver import Panel

KINDS = ("direct", "potential", "screen_off", "indirect")
LABELS = (2, 1, 0, 2)


def problem(index, labels=LABELS, kinds=KINDS):
    context = tuple(Panel((each,), each == 0) for each in range(6))
    return Problem(index, context, tuple(Query((0,), *each) for each in zip(labels, kinds, strict=True)))


def test_a_problem_is_right_if_its_four_queries_are():
    queries = asked([problem(0), problem(1), problem(2, kinds=("direct",) * 4)])
    label_Q = np.array([2, 1, 0, 2, 2, 1, 0, 0, 2, 0, 0, 2])
    told = scores.percentages(scores.outcomes(queries, label_Q))
    assert told == {
        "query": pytest.approx(100 * 10 / 12),
        "problem": pytest.approx(100 / 3),
        "direct": pytest.approx(100 * 5 / 6),
        "indirect": 50.0,
        "screen_off": 100.0,
        "backward_blocking": 100.0,
    }


def test_types_that_are_not_asked_have_no_score():
    queries = asked([problem(0, kinds=("direct",) * 4)])
    assert set(scores.percentages(scores.outcomes(queries, np.array([2, 1, 0, 2])))) == {"query", "problem", "direct"}


def test_the_table_shows_each_score_and_the_margin_over_each_control():
    queries = asked([problem(index) for index in range(20)])
    right = np.tile(LABELS, 20)
    columns = {"model": right, "counts": np.where(right == 1, 2, right), "majority": np.full(80, 2)}
    text = scores.table({name: scores.outcomes(queries, each) for name, each in columns.items()})
    cells = {line.split()[0]: line.split()[1:] for line in text.splitlines() if line.strip()}
    assert cells["query"] == ["80", "100.0", "75.0", "50.0"]
    assert cells["problem"] == ["20", "100.0", "0.0", "0.0"]
    assert cells["backward_blocking"] == ["20", "100.0", "0.0", "0.0"]
    assert "+25.0 [+25.0, +25.0]" in text
    assert "+50.0 [+50.0, +50.0]" in text


def test_counts_of_a_query_by_hand():
    context = (
        Panel((4, 7), True),
        Panel((7,), False),
        Panel((4,), True),
        Panel((9, 7), False),
        Panel((1,), True),
        Panel((2,), False),
    )
    record = asked([Problem(0, context, (Query((7, 4), 2, "direct"),) * 4)])[0]
    assert controls.counts(record) == ((1, 2), (2, 0))  # of 7, then of 4; sorted, without the objects' identity


def test_the_count_table_answers_with_the_commonest_label_of_the_counts():
    lit, unlit = ((Panel((0,), True),), (Panel((0,), False),))
    train = asked([Problem(0, lit, tuple(Query((0,), label, "direct") for label in (2, 2, 0, 0)))])
    train += asked([Problem(1, unlit, tuple(Query((0,), label, "direct") for label in (0, 0, 0, 2)))])
    train += asked([Problem(2, lit, tuple(Query((0,), label, "direct") for label in (2, 2, 2, 0)))])
    queries = asked(
        [Problem(3, lit, (Query((0,), 2, "direct"),) * 4), Problem(4, unlit, (Query((0, 5), 0, "direct"),) * 4)]
    )
    assert controls.count_table(train, queries)[:4].tolist() == [2] * 4
    # Counts not in training: the most common label overall, the smaller of 0 and 2, which are equally common.
    assert controls.count_table(train, queries)[4:].tolist() == [0] * 4
    assert controls.majority(train, queries).tolist() == [0] * 8


@pytest.mark.parametrize(("regime", "official"), [("IID", 86.7), ("Comp", 86.4), ("Sys", 84.9)])
def test_counting_gets_as_far_as_on_the_official_set_and_majority_no_farther(regime, official):
    """The table is fitted on IID problems, as for the published figures."""

    def problems(name, split, number, seed):
        drawn_as = generator.regime(name, split)
        pool = range(24 if name == "Comp" else 48)
        return [generator.draw(drawn_as, pool, index, np.random.default_rng((seed, index))) for index in range(number)]

    train, queries = controls.iid_queries(), asked(problems(regime, "test", 1_000, 2))
    told = scores.percentages(scores.outcomes(queries, controls.count_table(train, queries)))
    assert told["query"] == pytest.approx(official, abs=3)
    assert told["problem"] == pytest.approx(65, abs=6)
    majority = scores.percentages(scores.outcomes(queries, controls.majority(train, queries)))
    assert 30 < majority["query"] < 42
