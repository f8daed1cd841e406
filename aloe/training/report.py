"""Plots of runs, from the contents of their workdirs."""

import itertools
import json
from collections.abc import Sequence

import matplotlib

matplotlib.use("agg")  # writing a file needs no display
from etils import epath
from matplotlib import pyplot

from aloe.data.whole import write_whole
from aloe.errors import InputError
from aloe.training import growing, workdir
from aloe.training.log import VALIDATION, read_metrics

STYLES = ("--", ":", "-.", (0, (6, 1, 1, 1, 1, 1)), (0, (1, 4)))
ACROSS = 6  # panels per row; further ones go below


def draw_curves(folders: Sequence[epath.Path], out: epath.Path) -> None:
    """Plots validation scores over steps, one panel per score and one line per run, and writes the picture.

    Horizontal lines are the controls in the first run's latest table (launch/evaluate.py), if it has one.

    Args:
      folders: workdirs of runs.
      out: the picture; its suffix determines the format.

    Raises:
      InputError: a folder is not a workdir, or its run has not been evaluated yet.
    """
    curves = {folder: validation_scores(folder) for folder in folders}
    names = list(dict.fromkeys(name for scores in curves.values() for name in scores if not name.endswith("_options")))
    controls = latest_controls(folders[0])
    across, down = min(len(names), ACROSS), -(-len(names) // ACROSS)
    figure, axes = pyplot.subplots(down, across, figsize=(3.4 * across, 3.2 * down), sharey=True, squeeze=False)
    panels = axes.flat[: len(names)]
    for axis in axes.flat[len(names) :]:
        axis.remove()
    for axis, name in zip(panels, names, strict=True):
        for folder, scores in curves.items():
            steps, percents = zip(*scores.get(name, [(0, float("nan"))]), strict=True)
            axis.plot(steps, percents, label=folder.name, marker="." if len(steps) < 50 else "")
        for (control, values), style in zip(controls.items(), itertools.cycle(STYLES), strict=False):
            if name in values:
                axis.axhline(values[name], color="gray", linestyle=style, linewidth=1, label=control)
        axis.set(title=name, xlabel="step", ylim=(0, 100))
        axis.grid(alpha=0.3)
    for axis in axes[:, 0]:
        axis.set_ylabel("% right, validation")
    handles = {
        label: handle for axis in panels for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=max(1, len(handles)))
    figure.set_layout_engine("constrained")
    write_whole(out, lambda file: figure.savefig(file, dpi=150, format=out.suffix.removeprefix(".") or None))
    pyplot.close(figure)


def validation_scores(folder: epath.Path) -> dict[str, list[tuple[int, float]]]:
    """(step, percent) of every evaluation of a run, by score.

    Raises:
      InputError: the folder is not a workdir, or its run has not been evaluated yet.
    """
    metrics = folder / workdir.METRICS
    if not growing.exists(metrics):
        raise InputError(f"{folder}: no {workdir.METRICS} here; name the workdir of a run that has been started.")
    scores: dict[str, list[tuple[int, float]]] = {}
    for record in read_metrics(metrics):
        for name, value in record.items():
            if name.startswith(VALIDATION):
                scores.setdefault(name.removeprefix(VALIDATION), []).append((int(record["step"]), value))
    if not scores:
        raise InputError(f"{metrics}: no validation scores yet; wait for config.training.evaluate_every steps.")
    return scores


def latest_controls(folder: epath.Path) -> dict[str, dict[str, float]]:
    """Percentages in the latest validation table, by control and score; empty if there is none."""
    tables = [json.loads(path.read_text()) for path in folder.glob("validation-*.json")]
    return max(tables, key=lambda table: table["step"])["controls"] if tables else {}
