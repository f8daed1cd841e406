"""Quick runs of every part through the command line, and what happens to their results."""

import itertools
import json
import types

import pytest

from aloe.perception.monet.encoder import CPU_FRAMES_AT_ONCE
from benchmarks import attention, checkpoint, peer, scaling, step
from benchmarks.command import PARTS, main
from benchmarks.input import STEP_SECONDS
from benchmarks.options import Options
from benchmarks.results import Row
from benchmarks.timing import Timing
from benchmarks.workloads import clevrer

FIRST_STEP = ("first step_seconds", "first step cached_seconds")


@pytest.fixture
def run(tmp_path, capsys):
    """Runs a part with `--quick`; returns the results as JSON, what was printed, and the path of the results file."""

    def run(part, *flags):
        assert main([part, "--quick", f"--out={tmp_path}", *flags]) == 0
        (path,) = tmp_path.glob(f"{part}-*cpu-quick.json")
        return json.loads(path.read_text()), capsys.readouterr(), path

    return run


def cases(results, table):
    return [row["case"] for row in results["tables"][table]]


def test_attention(run):
    results, printed, path = run("attention", "--paths=rank", "--trace")
    rows = results["tables"]["attention"]
    assert {row["case"]["form"] for row in rows} == {"bidirectional", "released"}
    assert len({row["case"]["work"] for row in rows}) == 3
    assert all(0 < row["seconds"]["min"] <= row["seconds"]["median"] <= row["seconds"]["max"] for row in rows)
    shares = [row["figures"]["time_share"] for row in results["tables"]["attention: time by class of operations"]]
    assert sum(shares) == pytest.approx(1)
    assert "tokens per second" in printed.out
    assert path.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert {"jax", "python"} <= set(results["versions"])
    assert results["device"]["platform"] == "cpu"


@pytest.mark.slow
def test_step(run, monkeypatch):
    monkeypatch.setattr(peer.importlib.util, "find_spec", lambda name: None)
    results, printed, _ = run("step", "--paths=shift", "--config.model.layers=1")
    (row,) = results["tables"]["step"]
    assert (row["case"]["path"], row["case"]["layers"]) == ("shift", 1)
    assert 0 < row["figures"]["optimizer_share"] < 1
    assert min(row["figures"][name] for name in FIRST_STEP) > 1, "of whole processes, with their imports"
    assert row["figures"]["accessed_bytes"] > row["figures"]["temporary_bytes"] > 0
    assert row["useful_flops"] == clevrer.step_flops(Options(quick=True, overrides={"model.layers": "1"}).config())
    assert peer.MISSING in printed.err


@pytest.mark.slow
@pytest.mark.parametrize(("task", "sequences", "tokens"), [("acre", 16, 57), ("cater", 24, 25), ("clevr", 16, 59)])
def test_step_of_another_task(tmp_path, monkeypatch, task, sequences, tokens):
    monkeypatch.setattr(peer.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(step.first_step, "times", lambda config, path: {})
    assert main(["step", f"--task={task}", "--quick", "--paths=rank", f"--out={tmp_path}"]) == 0
    (row,) = json.loads((tmp_path / f"step-{task}-cpu-quick.json").read_text())["tables"]["step"]
    assert (row["case"]["task"], row["case"]["sequences"], row["case"]["T"]) == (task, sequences, tokens)


def test_input(run):
    results, _, _ = run("input")
    assert {case["workers"] for case in cases(results, "input")} == {0, 1}
    for row in results["tables"]["input"]:
        figures, examples = row["figures"], row["case"]["examples"]
        if row["case"]["pace"] == "as fast as it goes":
            assert row["seconds"]["median"] == pytest.approx(examples / figures["examples_per_second"])
        else:
            # The time not spent waiting is that of the steps.
            taken = figures["taken examples_per_second"] / examples
            assert taken * STEP_SECONDS[0] == pytest.approx(1 - figures["waiting_share"])


@pytest.mark.slow
def test_perception(run):
    results, _, _ = run("perception", "--trace")
    (step,) = results["tables"]["training step"]
    case = {"variant": "quickstart", "pixels": 32, "frames": 16, "dtype": "float32"}
    assert step["case"] == case
    assert step["figures"]["frames_per_second"] == pytest.approx(16 / step["seconds"]["median"])
    classes = results["tables"]["training step: time by class of operations"]
    told = {row["case"]["class"] for row in classes if row["case"] == case | {"class": row["case"]["class"]}}
    assert {"matrix products", "sums and maxima", "elementwise"} <= told
    resident, in_memory = results["tables"]["encoding"]
    assert (resident["case"]["lie"], in_memory["case"]["lie"]) == ("resident", "in memory")
    for row in (resident, in_memory):
        assert (row["case"]["frames"], row["case"]["devices"]) == (8 * CPU_FRAMES_AT_ONCE, 8)  # as in encode.py
        rate = row["case"]["frames"] / row["figures"]["frames_per_second"]
        assert row["seconds"]["min"] <= rate <= row["seconds"]["max"]
        assert row["useful_flops"] > 1e6
    (decoding,) = results["tables"]["decoding by one process"]
    assert decoding["case"]["frames"] == 128 * decoding["case"]["videos"] > 0
    assert decoding["seconds"]["min"] <= decoding["case"]["frames"] / decoding["figures"]["frames_per_second"]


def test_checkpoint(run, monkeypatch):
    told = itertools.cycle([1.0, 10.0, 100.0])  # how long a save blocks, the wait until it is complete, a restore

    def seconds(call):
        call()
        return next(told)

    monkeypatch.setattr(checkpoint, "seconds", seconds)
    results, _, _ = run("checkpoint", "--config.model.layers=1")
    blocked, whole, restored = results["tables"]["checkpoint"]
    assert [row["case"]["what"] for row in (blocked, whole, restored)] == [
        "save, blocks",
        "save, until whole",
        "restore",
    ]
    assert [row["seconds"]["median"] for row in (blocked, whole, restored)] == [1.0, 11.0, 100.0]
    assert blocked["figures"]["blocked of a minute_share"] == 1 / 60
    assert blocked["figures"]["state_bytes"] == restored["figures"]["state_bytes"] > 0


@pytest.mark.slow
def test_scaling(run):
    results, _, _ = run("scaling", "--config.model.layers=1")
    one, two = results["tables"]["scaling"]
    assert (one["case"]["devices"], two["case"]["devices"]) == (1, 2)
    assert two["case"]["sequences"] == 2 * one["case"]["sequences"]
    assert one["figures"]["efficiency_share"] == 1
    assert all(row["figures"]["accessed_bytes"] > row["figures"]["temporary_bytes"] > 0 for row in (one, two))
    assert all(row["figures"]["total_bytes"] > row["figures"]["temporary_bytes"] for row in (one, two))
    assert one["useful_flops"] == two["useful_flops"]  # per device


def test_an_all_reduce_is_told_as_it_was_measured_beside_the_noise():
    """By how many milliseconds a step is longer than on one device, possibly negative: not a share from 0 to 1."""
    alone, reduce = Timing(0.160, 0.158, 0.162, 7), Timing(0.0003, 0.0003, 0.0003, 7)
    longer, shorter = Timing(0.161, 0.158, 0.162, 7), Timing(0.159, 0.158, 0.162, 7)
    assert scaling.compared(longer, alone, reduce)["longer than alone_ms"] == pytest.approx(1)
    assert scaling.compared(shorter, alone, reduce)["longer than alone_ms"] == pytest.approx(-1)
    assert scaling.compared(shorter, alone, reduce)["all-reduce_ms"] == pytest.approx(0.3)


@pytest.mark.parametrize(("part", "rows"), [("attention", 10), ("step", 2), ("scaling", 1)])
def test_what_does_not_fit_is_a_row(run, monkeypatch, part, rows):
    def none_fits(compile_for, largest, limit):
        raise MemoryError("not even the smallest")

    monkeypatch.setattr(peer.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(attention, "compile_together", list)
    for module in (attention, step):
        monkeypatch.setattr(module, "largest_that_fits", none_fits)
    results, printed, _ = run(part, *([] if part == "scaling" else ["--paths=rank,shift"]))
    assert [row["figures"] for row in results["tables"][part]] == rows * [{"not measured": "not even the smallest"}]
    assert "not even the smallest" in printed.out


def test_a_platform_that_nobody_thought_of_has_the_least_batch(monkeypatch):
    unknown = types.SimpleNamespace(platform="abacus")
    monkeypatch.setattr(attention.jax, "devices", lambda: [unknown])
    case = attention.Case((64, 2, 6), attention.FORMS[0], "rank", attention.FORWARD)
    assert attention.largest(case, Options()) == attention.LEAST_TOKENS // 64


def test_what_was_measured_before_a_failure_is_kept(tmp_path, monkeypatch):
    def fails(options):
        yield "table", Row({"number": 1}, figures={"half": 0.5})
        raise RuntimeError

    monkeypatch.setitem(PARTS, "input", fails)
    with pytest.raises(RuntimeError):
        main(["input", f"--out={tmp_path}"])
    (row,) = json.loads((tmp_path / "input-cpu.json").read_text())["tables"]["table"]
    assert row["figures"] == {"half": 0.5}


def test_results_are_compared_and_shown(run, capsys):
    _, _, path = run("checkpoint", "--config.model.layers=1")
    assert main(["compare", str(path), str(path)]) == 0
    assert "1.00" in capsys.readouterr().out
    assert main(["show", str(path)]) == 0
    assert "|" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["attention", "--paths=shft"], "--paths=shft: no such path; did you mean shift?"),
        (["attention", "--lengths=5"], "--lengths=5: not measured"),
        (["step", "--task=acer"], "--task=acer: no benchmark of it; did you mean acre?"),
        (["step", "--task=monet"], "--task=monet: no benchmark of it; there are: acre, cater, clevr, clevrer."),
        (["step", "--quick", "--config.model.layer=1"], "no such field; did you mean model.layers?"),
        (["show", "/nowhere.json"], "/nowhere.json"),
        (["input", "--trace"], "--trace: nothing that input does depends on it, but: attention, step, perception."),
        (["attention", "--task=acre"], "--task: nothing that attention does depends on it"),
        (["attention", "--variant=adam"], "but: step, input, checkpoint, scaling."),
        (["perception", "--config.model.layers=1"], "--config.…: nothing that perception does depends on it"),
        (["perception", "--paths=rank"], "--paths: nothing that perception does depends on it, but: attention, step."),
        (["step", "--lengths=57"], "--lengths: nothing that step does depends on it, but: attention."),
        (["readme", "--quick"], "--quick: nothing that readme does depends on it"),
        (["input", "--out=/dev/null/x"], "--out=/dev/null/x: Not a directory; name a folder that can be written."),
    ],
)
def test_bad_input_is_named(arguments, message, capsys):
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


@pytest.fixture
def parts(monkeypatch):
    """Replaces every part by one that immediately yields a single row; returns the options that each was given."""
    given = {}

    def part(name):
        def run(options):
            given[name] = options
            yield f"by {name}", Row({"number": 1}, figures={"half": 0.5})

        return run

    for name in PARTS:
        monkeypatch.setitem(PARTS, name, part(name))
    return given


@pytest.mark.parametrize(
    ("flags", "name", "case"),
    [
        ([], "step-cpu", {}),
        (["--task=acre"], "step-acre-cpu", {"task": "acre"}),
        (["--variant=adam"], "step-adam-cpu", {"variant": "adam"}),
        (["--task=acre", "--variant=study"], "step-acre-study-cpu", {"task": "acre", "variant": "study"}),
        (
            ["--config.model.layers=1", "--config.model.dropout=0.0"],
            "step-559bb19f-cpu",
            {"overrides": "model.dropout=0.0 model.layers=1"},
        ),
    ],
)
def test_what_is_not_by_default_is_in_the_case_and_in_the_name(parts, tmp_path, flags, name, case):
    assert main(["step", f"--out={tmp_path}", *flags]) == 0
    assert main(["step", f"--out={tmp_path}", *reversed(flags)]) == 0
    (path,) = tmp_path.iterdir()
    assert path.stem == name
    assert cases(json.loads(path.read_text()), "by step") == [{"number": 1, **case}]


def test_of_all_parts_those_that_have_no_configuration_are_the_same_cases(parts, tmp_path):
    assert main(["all", f"--out={tmp_path}", "--variant=adam", "--paths=rank", "--trace", "--quick"]) == 0
    results = json.loads((tmp_path / "all-adam-cpu-quick.json").read_text())
    told = {name for name in results["tables"] if cases(results, name) == [{"number": 1, "variant": "adam"}]}
    assert told == {"by step", "by input", "by checkpoint", "by scaling"}
    assert all(options.quick and options.trace and options.paths == ["rank"] for options in parts.values())


@pytest.mark.parametrize("arguments", [["compare", "one.json"], ["step", "--quik"], ["attention", "results.json"]])
def test_bad_flags_leave_with_status_2(arguments, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(arguments)


def test_all_has_every_part():
    assert list(PARTS) == ["attention", "step", "input", "perception", "checkpoint", "scaling"]


def test_peer_trains():
    pytest.importorskip("torch")
    sizes = peer.Sizes(4, 9, 6, 2, 2, 12, 16, 0.1, bfloat16=False, compiled=False, repeats=2)
    assert peer.train(sizes)["timing"]["median"] > 0
