"""Runs are ranked by their held-out loss, and only if they are comparable."""

import json

import pytest

from aloe.errors import InputError
from aloe.perception.monet import choose
from aloe.training import workdir
from aloe.training.checkpoints import STATE
from launch import choose as command
from tests.tasks.monet.squares import settings

NUMBERS = {"slots_used": 4.0, "largest_slot": 0.9, "explained": 0.9}


def write_run(folder, seed, losses, overrides=(), checkpoints=None, **numbers):
    """A workdir with these losses in its evaluations, every 10 steps, and checkpoints at those or at given steps."""
    resolved = settings(folder, {"seed": seed, **dict(overrides)})
    resolved.workdir = str(folder)
    workdir.claim(resolved)
    records = []
    for place, loss in enumerate(losses):
        told = {f"diagnosis/{name}": value for name, value in (NUMBERS | {"loss": loss} | numbers).items()}
        records += [{"step": 10 * place + 5, "loss": -9e9}, {"step": 10 * place + 10, **told}]
    for step in [10 * place + 10 for place in range(len(losses))] if checkpoints is None else checkpoints:
        (folder / workdir.CHECKPOINTS / str(step) / STATE).mkdir(parents=True)
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
    assert choose.remarks(ranked) == []
    assert "one slot takes all" in rows[1]
    assert "one slot" not in rows[0]


def test_where_another_step_encodes_than_was_evaluated_it_is_said(tmp_path):
    folders = [
        write_run(tmp_path / "a", 0, [-5.0, -7.0], checkpoints=[20, 25]),
        write_run(tmp_path / "b", 1, [-1.0, -9.0], checkpoints=[10, 20]),
        write_run(tmp_path / "c", 2, [-1.0, -8.0], checkpoints=[]),
    ]
    ranked = choose.ranked(folders)
    assert [(candidate.seed, candidate.step, candidate.checkpoint) for candidate in ranked] == [
        (1, 20, 20),
        (2, 20, None),
        (0, 20, 25),
    ]
    of_none, of_another = choose.remarks(ranked)
    assert of_none.startswith(f"{folders[2]}: evaluated at step 20, and has no checkpoint")
    assert "latest checkpoint, which encodes, is of step 25. Evaluate that: python launch/evaluate.py" in of_another
    assert of_another.endswith(f"--workdir={folders[0]}")


def test_the_loss_is_of_the_checkpoint_that_encodes_where_it_is_known(tmp_path):
    """Evaluated by the loop, before its last evaluation, or by launch/evaluate.py, after it."""
    before = write_run(tmp_path / "a", 0, [-5.0, -7.0], checkpoints=[10])
    (candidate,) = choose.ranked([before])
    assert (candidate.step, candidate.numbers["loss"]) == (10, -5.0)
    after = write_run(tmp_path / "b", 1, [-1.0, -9.0], checkpoints=[20, 25])
    (after / "validation-25.json").write_text(json.dumps({"step": 25, "diagnosis": NUMBERS | {"loss": -11.0}}))
    (candidate,) = choose.ranked([after])
    assert (candidate.step, candidate.numbers["loss"]) == (25, -11.0)
    assert choose.remarks([candidate]) == []
    with pytest.raises(InputError, match=r"evaluated at different steps: .*a 10, .*b 25"):
        choose.ranked([before, after])


def test_the_command_says_it_too(tmp_path, monkeypatch, capsys):
    folder = write_run(tmp_path / "a", 0, [-5.0, -7.0], checkpoints=[25])
    monkeypatch.setattr("sys.argv", ["choose.py", f"--workdir={folder}"])
    command.main()
    out = capsys.readouterr().out
    assert "is of step 25. Evaluate that" in out
    assert out.endswith(f"The lowest loss:\n{folder}\n")


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
