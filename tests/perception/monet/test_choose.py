"""Runs are ranked by their held-out loss, and only runs that compare."""

import json

import pytest

from aloe.errors import InputError
from aloe.perception.monet import choose
from aloe.training import workdir
from tests.tasks.monet.squares import settings

NUMBERS = {"slots_used": 4.0, "largest_slot": 0.9, "explained": 0.9}


def write_run(folder, seed, losses, overrides=(), **numbers):
    """A workdir whose evaluations, every 10 steps, had these losses."""
    resolved = settings(folder, {"seed": seed, **dict(overrides)})
    resolved.workdir = str(folder)
    workdir.claim(resolved)
    records = []
    for place, loss in enumerate(losses):
        told = {f"diagnosis/{name}": value for name, value in (NUMBERS | {"loss": loss} | numbers).items()}
        records += [{"step": 10 * place + 5, "loss": -9e9}, {"step": 10 * place + 10, **told}]
    (folder / workdir.METRICS).write_text("".join(json.dumps(record) + "\n" for record in records))
    return folder


def test_the_lowest_loss_of_the_last_evaluations_comes_first(tmp_path):
    folders = [
        write_run(tmp_path / "a", 0, [-5.0, -7.0], foreground_ari=0.99),
        write_run(tmp_path / "b", 1, [-1.0, -9.0], foreground_ari=0.5),
        write_run(tmp_path / "c", 2, [-99.0, -8.0], foreground_ari=0.7, slots_used=1.0),
    ]
    ranked = choose.ranked(folders)
    assert [candidate.seed for candidate in ranked] == [1, 2, 0]  # whatever the labels say
    assert {candidate.step for candidate in ranked} == {20}
    header, _, *rows = choose.table(ranked).splitlines()
    assert "foreground ARI" in header
    assert "one slot takes all" in rows[1]
    assert "one slot" not in rows[0]


@pytest.mark.parametrize(
    ("losses", "overrides", "message"),
    [
        ([-1.0, -2.0], {"loss.beta": 0.7}, "loss.beta differ"),
        ([-1.0], {}, "at different steps: .*a 20, .*b 10"),
        ([], {}, "no evaluation yet"),
    ],
)
def test_runs_that_do_not_compare_are_refused(tmp_path, losses, overrides, message):
    one = write_run(tmp_path / "a", 0, [-1.0, -2.0])
    other = write_run(tmp_path / "b", 1, losses, overrides)
    with pytest.raises(InputError, match=message):
        choose.ranked([one, other])


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no run"):
        choose.ranked([tmp_path])
