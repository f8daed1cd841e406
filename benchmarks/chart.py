"""The plot of the attention benchmark: throughput over sequence length."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("agg")  # no display is needed to write a file
from matplotlib import pyplot
from matplotlib.lines import Line2D

STYLES: Mapping[str, Any] = {"bidirectional": "-", "released": "--"}
MARKERS = "osd^"


def draw_attention(results: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], out: Path) -> None:
    """Plots tokens per second and useful TFLOP/s over T: a column per kind of work, a line per path, form and size.

    Args:
      results: the results file, for device and commit in the title.
      rows: rows of the attention table, as JSON.
      out: the image file; its suffix determines the format.
    """
    works, paths, sizes = (distinct(rows, name) for name in ("work", "path", "H×K"))
    colors = {path: f"C{place}" for place, path in enumerate(paths)}
    markers = dict(zip(sizes, MARKERS, strict=False))
    figure, axes = pyplot.subplots(
        2, len(works), figsize=(4.2 * len(works), 6.4), sharex=True, sharey="row", squeeze=False
    )
    for (upper, lower), work in zip(axes.T, works, strict=True):
        for line in lines(row for row in rows if row["case"]["work"] == work):
            case = line[0]["case"]
            look = {"linestyle": STYLES[case["form"]], "marker": markers[case["H×K"]], "color": colors[case["path"]]}
            look |= {"markersize": 4, "fillstyle": "full" if case["form"] == "bidirectional" else "none"}
            lengths = [row["case"]["T"] for row in line]
            upper.plot(lengths, [row["figures"]["tokens_per_second"] for row in line], **look)
            lower.plot(lengths, [row["flops_per_second"] / 1e12 for row in line], **look)
        upper.set(title=work, xscale="log", yscale="log")
        lower.set(xlabel="tokens T = 1 + words + F·N", yscale="log")
        lower.set_xticks(ticks := sorted(distinct(rows, "T")), list(map(str, ticks)), rotation=45)
        lower.minorticks_off()
    axes[0][0].set_ylabel("tokens a second")
    axes[1][0].set_ylabel("useful TFLOP/s")
    for axis in axes.flat:
        axis.grid(alpha=0.3)
    keys = [Line2D([], [], color=color, label=path) for path, color in colors.items()]
    keys += [Line2D([], [], color="gray", linestyle=style, label=form) for form, style in STYLES.items()]
    keys += [Line2D([], [], color="gray", marker=marker, label=f"H×K {size}") for size, marker in markers.items()]
    figure.legend(handles=keys, loc="outside lower center", ncols=len(keys), fontsize="small")
    figure.suptitle(f"Attention on {results['device']['kind']}, commit {results['commit']}")
    figure.set_layout_engine("constrained")
    figure.savefig(out, dpi=120)
    pyplot.close(figure)


def distinct(rows: Iterable[Mapping[str, Any]], name: str) -> list[Any]:
    """The distinct values of a field of the cases, in the order of the rows."""
    return list(dict.fromkeys(row["case"][name] for row in rows))


def lines(rows: Iterable[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """Groups rows whose cases differ only in length, and sorts each group by length."""
    grouped: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        grouped.setdefault(tuple(row["case"][name] for name in ("path", "form", "H×K")), []).append(row)
    return [sorted(group, key=lambda row: row["case"]["T"]) for group in grouped.values()]
