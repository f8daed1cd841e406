"""Every shipped configuration, compiled for a slice and compared with the committed table; `make test` covers few."""

import importlib.metadata
import json
import warnings

import pytest

from aloe import tasks
from benchmarks import shipped
from benchmarks.on_slice import Program
from tests.libtpu import needs_libtpu, python

EVERY_TIME = [("acre", "paper"), ("clevrer", "paper")]  # 40 and 90 s on one core; the other tasks take longer
EVERY = [
    pytest.param(*each, marks=[pytest.mark.slow, *([] if each in EVERY_TIME else [pytest.mark.compiled])])
    for each in shipped.shipped()
]


@needs_libtpu
@pytest.mark.parametrize(("task", "variant"), EVERY)
def test_takes_no_more_than_the_table_says(task, variant):
    anew = f"python -m benchmarks.shipped --task={task} --variant={variant}"
    rows = shipped.committed(task, variant)
    assert rows, f"it is not in the table; {anew} puts it there"
    version = shipped.versions()["jax"]
    if importlib.metadata.version("jax") != version:
        pytest.skip(f"the table is of jax {version}, whose compiler is another")
    flags = [f"--task={task}", f"--variant={variant}", f"--slice={rows[0]['case']['slice']}", "--format=json"]
    if rows[0]["case"]["with"] != shipped.NOTHING:
        flags.append(f"--config.{rows[0]['case']['with']}")
    done = python("launch/compile_check.py", *flags)
    assert done.returncode == 0, done.stdout + done.stderr
    programs = {name: Program(**fields) for name, fields in json.loads(done.stdout)["fits"].items()}
    more, less = shipped.compared(rows, programs)
    assert not more, f"more than before; if that is meant, {anew}:\n" + "\n".join(more)
    if less:
        warnings.warn(f"less than before, {anew} tells the table:\n" + "\n".join(less), stacklevel=1)


def a_row(name="train", memory=1000, gflop=10.0):
    return {"case": {"step": name}, "figures": {"memory_bytes": memory, "GFLOP": gflop, "all-reduced_bytes": 1}}


def a_program(name="train", memory=1000, gflop=10.0):
    return {name: Program(name, memory, gflop, 1, 1.0)}


@pytest.mark.parametrize(("memory", "gflop"), [(1050, 10.5), (950, 9.5), (1000, 10.0)])
def test_five_percent_are_let_pass(memory, gflop):
    assert shipped.compared([a_row()], a_program(memory=memory, gflop=gflop)) == ([], [])


def test_more_is_told_apart_from_less():
    more, less = shipped.compared([a_row()], a_program(memory=1051, gflop=9.49))
    assert more == ["train: memory_bytes 1,051, in the table 1,000"]
    assert less == ["train: GFLOP 9.49, in the table 10"]


def test_programs_that_come_or_go_are_told():
    more, less = shipped.compared([a_row("train"), a_row("evaluate a")], a_program("train") | a_program("evaluate b"))
    assert more == ["evaluate a is in the table alone", "evaluate b is not in the table"]
    assert less == []


def test_the_table_has_all_that_is_for_slices_and_nothing_else():
    every = {(task, variant) for task in tasks.names() for variant in tasks.part(task, "config").VARIANTS}
    found = {(row["case"]["task"], row["case"]["variant"]) for row in shipped.table()}
    assert {variant for _, variant in every - found} == set(shipped.FOR_GPUS)
    assert found == set(shipped.shipped()) <= every


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--task=clevrr"], "--task=clevrr: no such task; did you mean clevrer?"),
        (["--task=acre", "--variant=nonsense"], "--variant=nonsense: not among those for slices; there are: "),
        (["--variant=study"], "--variant=study: not among those for slices"),
    ],
)
def test_what_is_not_shipped_is_named(flags, message, monkeypatch, capsys):
    monkeypatch.setattr(shipped, "compiled_rows", None)
    assert shipped.main(flags) == 2
    assert message in capsys.readouterr().err
