"""The picture of the attention benchmark: throughput over the length of the sequence."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("agg")  # no display is needed to write a file
from matplotlib import pyplot

STYLES = {"bidirectional": "-", "released": "--"}


def draw_attention(results: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], out: Path) -> None:
    """Tokens a second and useful TFLOP/s over T, a column for each kind of work, a line for each path and form.

    Args:
      results: for the title: device and commit.
      rows: of the table of attention, as JSON.
      out: the picture; its ending says in which format.
    """
    works = list(dict.fromkeys(row["case"]["work"] for row in rows))
    paths = list(dict.fromkeys(row["case"]["path"] for row in rows))
    heads = list(dict.fromkeys(row["case"]["H×K"] for row in rows))
    figure, axes = pyplot.subplots(
        2, len(works), figsize=(4.2 * len(works), 6.4), sharex=True, sharey="row", squeeze=False
    )
    for column, work in enumerate(works):
        for place, path in enumerate(paths):
            for form, style in STYLES.items():
                for size, marker in zip(heads, "osd^", strict=False):
                    chosen = [
                        row
                        for row in rows
                        if [row["case"][name] for name in ("work", "path", "form", "H×K")] == [work, path, form, size]
                    ]
                    if not chosen:
                        continue
                    lengths = [row["case"]["T"] for row in chosen]
                    look = {"linestyle": style, "marker": marker, "color": f"C{place}", "markersize": 4}
                    label = f"{path}, {form}, {size}"
                    tokens = [row["figures"]["tokens_per_second"] for row in chosen]
                    axes[0][column].plot(lengths, tokens, label=label, **look)
                    axes[1][column].plot(lengths, [row["flops_per_second"] / 1e12 for row in chosen], **look)
        axes[0][column].set(title=work, xscale="log", yscale="log")
        axes[1][column].set(xlabel="tokens T = 1 + words + F·N", yscale="log")
        ticks = sorted({row["case"]["T"] for row in rows})
        axes[1][column].set_xticks(ticks, [str(tick) for tick in ticks], rotation=45)
        axes[1][column].minorticks_off()
    axes[0][0].set_ylabel("tokens a second")
    axes[1][0].set_ylabel("useful TFLOP/s")
    for axis in axes.flat:
        axis.grid(alpha=0.3)
    handles = {
        label: handle for axis in axes[0] for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=3, fontsize="small")
    figure.suptitle(f"Attention, {results['device']['kind']}, commit {results['commit']}")
    figure.set_layout_engine("constrained")
    figure.savefig(out, dpi=120)
    pyplot.close(figure)
