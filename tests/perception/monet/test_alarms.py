"""Every failure is reported by name, and nothing else is."""

import pytest

from aloe.perception.monet.alarms import alarms

FINE = {
    "slots_used": 4.2,
    "largest_slot": 0.93,
    "explained": 0.95,
    "in_background": 0.02,
    "alike_merged": 0.05,
    "unlike_merged": 0.01,
    "crowded": 0.0,
}


def test_a_good_run_raises_none():
    assert alarms(FINE, slots=8) == []
    unlabelled = {name: FINE[name] for name in ("slots_used", "largest_slot", "explained")}
    assert alarms(unlabelled, slots=8) == []


@pytest.mark.parametrize(
    ("broken", "name"),
    [
        ({"slots_used": 1.1, "largest_slot": 0.99}, "one slot takes all: 1.1 of 8 slots"),
        ({"in_background": 0.9}, "all background: 90% of the objects' pixels"),
        ({"explained": 0.03}, "all background: only 3%"),
        ({"alike_merged": 0.8}, "same-coloured objects are merged: 80%"),
        ({"alike_merged": 0.9, "unlike_merged": 0.8}, "objects are merged: 80%"),
        ({"crowded": 0.25}, "too few slots: 25% of the frames show 8 objects or more"),
    ],
)
def test_a_failure_is_called_by_its_name(broken, name):
    (alarm,) = alarms(FINE | broken, slots=8)
    assert alarm.startswith(name)
    assert "--config.seed" in alarm or "model.slots" in alarm  # and a remedy


def test_two_failures_are_two_alarms():
    assert len(alarms(FINE | {"slots_used": 1.0, "in_background": 1.0}, slots=8)) == 2
