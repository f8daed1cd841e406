import numpy as np

from aloe.tasks.acre import solver
from aloe.tasks.acre.solver import Panel
from tests.tasks.acre import brute_force


def random_context(rng):
    """Panels lit according to blickets that are drawn first, so that an explanation exists."""
    objects = rng.integers(2, 7)
    blickets = set(np.flatnonzero(rng.random(objects) < 0.4).tolist())
    panels = [tuple(np.flatnonzero(rng.random(objects) < 0.5).tolist()) for _ in range(6)]
    return [Panel(panel, bool(blickets & set(panel))) for panel in panels if panel], objects


def test_labels_are_those_of_every_assignment_that_fits():
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(400):
        context, objects = random_context(rng)
        query = tuple(rng.permutation(objects + 1)[: rng.integers(1, objects + 1)].tolist())  # one may be in no panel
        label = solver.label(context, query)
        assert label == brute_force.label(context, query)
        seen.add(label)
    assert seen == {solver.INACTIVATED, solver.UNDETERMINED, solver.ACTIVATED}


def test_a_contradiction_is_a_lit_panel_without_candidates():
    rng = np.random.default_rng(1)
    contradictions = 0
    for _ in range(300):
        context, _ = random_context(rng)
        context = [Panel(panel.objects, panel.lit ^ bool(rng.random() < 0.2)) for panel in context]
        explained = all(solver.candidates(context))
        assert explained == (brute_force.label(context, (0,)) is not None)
        contradictions += not explained
    assert 50 < contradictions < 250
