"""The policy's guarantees, on any snapshot."""

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from cluster.policy import Place, Snapshot, Waiting, plan

KINDS = ("small", "middle", "large")  # a run may use a contiguous range of them, or none


@st.composite
def snapshots(draw):
    places = [
        Place(str(number), kind) for number, kind in enumerate(draw(st.lists(st.sampled_from(KINDS), max_size=8)))
    ]
    running, resting = {}, set()
    for place in places:
        state = draw(st.sampled_from(("free", "free", "taken", "resting")))
        if state == "taken":
            running[f"on {place}"] = place
        elif state == "resting":
            resting.add(place)
    if draw(st.booleans()):
        running["on a slice that has gone"] = Place("gone", "large")
    positions = draw(st.permutations(range(draw(st.integers(0, 10)))))
    waiting = [
        Waiting(
            f"run {position}",
            KINDS[draw(st.integers(0, 2)) : draw(st.integers(1, 3))],
            position,
            draw(st.integers(0, 2)),
            draw(st.sampled_from((0.0, 9.0, 10.0, 11.0))),
            draw(st.sampled_from([None, None, *places])),
        )
        for position in positions
    ]
    return Snapshot(10.0, places, running, waiting, frozenset(resting))


def free_places(snapshot):
    return set(snapshot.places) - set(snapshot.running.values()) - snapshot.resting


def ready(snapshot):
    return sorted(
        (run for run in snapshot.waiting if run.not_before <= snapshot.now),
        key=lambda run: (-run.priority, run.position),
    )


def may_have(snapshot, run):
    """Places that a run may use, free or taken: not the one where it has just failed, if there is another."""
    fitting = {place for place in snapshot.places if place.kind in run.kinds}
    return fitting - {run.shuns} or fitting


@given(snapshots())
def test_no_place_is_given_twice_and_none_that_is_not_free_or_not_allowed(snapshot):
    starts = plan(snapshot)
    assert len(set(starts.values())) == len(starts)
    assert set(starts.values()) <= free_places(snapshot)
    allowed = {run.name: may_have(snapshot, run) for run in ready(snapshot)}
    assert all(place in allowed[name] for name, place in starts.items())


@given(snapshots())
def test_no_place_is_left_to_itself_while_a_run_waits_that_may_have_it(snapshot):
    starts = plan(snapshot)
    left = free_places(snapshot) - set(starts.values())
    for run in ready(snapshot):
        assert run.name in starts or not left & may_have(snapshot, run)


@given(snapshots())
def test_nobody_is_overtaken_for_a_place_that_he_could_have(snapshot):
    """Runs are served by priority, then by position, so only runs of higher priority can starve another."""
    starts = plan(snapshot)
    passed_over: list[Waiting] = []
    for run in ready(snapshot):
        if run.name not in starts:
            passed_over.append(run)
        for first in passed_over:
            assert run.name not in starts or starts[run.name] not in may_have(snapshot, first)


@given(snapshots())
def test_a_run_leaves_a_larger_place_free_while_a_fitting_one_is(snapshot):
    starts = plan(snapshot)
    left = free_places(snapshot) - set(starts.values())
    for run in ready(snapshot):
        if run.name in starts:
            better = run.kinds[: run.kinds.index(starts[run.name].kind)]
            assert not [place for place in left & may_have(snapshot, run) if place.kind in better]


@given(snapshots(), st.randoms())
def test_who_starts_where_does_not_depend_on_how_the_runs_are_listed(snapshot, random):
    shuffled = list(snapshot.waiting)
    random.shuffle(shuffled)
    assert plan(dataclasses.replace(snapshot, waiting=shuffled)) == plan(snapshot)


def test_an_older_run_gets_the_first_large_slice_that_frees_up():
    """Small runs keep arriving, and all of them could use it."""
    large = Waiting("large", ("large",), 0)
    small = [Waiting(f"small {number}", ("small", "large"), number) for number in range(1, 50)]
    place = Place("a", "large")
    assert plan(Snapshot(0, [place], {}, [*small, large])) == {"large": place}
