"""What the benchmarks' pictures have in common: paper, axes, markers and legend, by matplotlib."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

INK, MUTED, GRID = "#202228", "#6e727c", "#e4e6eb"
Point = tuple[float, float]
Shape = Literal["filled", "hollow", "small"]

DOTS = 100
"""Per inch: pictures are 1280 wide."""
MARKERS = {
    "filled": {"markersize": 9, "markeredgecolor": "white", "linestyle": "-", "zorder": 4},
    "hollow": {"markersize": 8, "markerfacecolor": "white", "markeredgewidth": 1.8, "zorder": 3},
    "small": {"markersize": 6, "markeredgecolor": "white", "zorder": 2},
}
"""By shape. A line joins those that are filled, and they lie above the others."""


def paper(height: float, title: str) -> Figure:
    """An empty picture with its heading.

    Args:
        height: inches.
        title: in bold.
    """
    figure = Figure((12.8, height), DOTS, layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12))
    figure.suptitle(title, x=0.01, ha="left", color=INK, fontsize=17, fontweight="bold")
    return figure


def prepare(axes: Axes, left: str, right: str, below: str, unit: str) -> None:
    """Grid, headings and names of a pair of axes.

    Args:
        left: heading in bold.
        right: heading beside it.
        below: name of the horizontal axis, whose values are times.
        unit: of the vertical one.
    """
    axes.set_title(left, loc="left", color=INK, fontsize=12, fontweight="bold")
    axes.set_title(right, loc="right", color=MUTED, fontsize=10)
    axes.set_xlabel(below, color=MUTED)
    axes.grid(color=GRID)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelcolor=MUTED)
    axes.xaxis.set_major_formatter("{x:g}×")
    axes.yaxis.set_major_formatter(f"{{x:g}} {unit}")


def mark(
    axes: Axes,
    points: Iterable[Point],
    colour: str,
    shape: Shape,
    legend: str,
    line: str | None = None,
) -> None:
    """Points of data in the order of the line through them.

    Args:
        line: style of that line; None for that of the shape.
    """
    across, up = zip(*points, strict=True)
    style = {"linestyle": "none", **MARKERS[shape], **({"linestyle": line} if line else {})}
    axes.plot(across, up, marker="o", color=colour, label=legend, linewidth=1, **style)


def add_legend(figure: Figure, heading: str, columns: int) -> None:
    """One legend for all axes, in which every name stands once."""
    named = {
        name: handle
        for axes in figure.axes
        for handle, name in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        [*named.values()], [*named], title=heading, alignment="left", loc="outside lower left",
        ncols=columns, frameon=False, labelcolor=INK,
    )  # fmt: skip
