"""Draws how near Step Cache and others stay to the plain picture, by speed: one panel per model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

from .forecast_results import NEAREST_LAYERS, OURS, Results, models_of, title
from .plot_axes import Point, Shape, add_legend, mark, paper, prepare


@dataclass(frozen=True, slots=True)
class Line:
    """How a row is drawn.

    Args:
        name: of the row.
        legend: words in the legend.
        colour: of its markers and line.
        shape: filled is ours or needs nothing of ours, hollow ComfyUI's own, small other peers'.
    """

    name: str
    legend: str
    colour: str
    shape: Shape


LINES = (
    Line(OURS, "Step Cache", "#c81e3c", "filled"),
    Line("fewer steps", "fewer steps, Euler", "#3c4048", "filled"),
    Line("fewer steps, DPM++ 2M", "fewer steps, DPM++ 2M", "#8c909c", "filled"),
    Line(NEAREST_LAYERS, "our layer methods, the nearest", "#6e3ca0", "filled"),
    Line("EasyCache", "ComfyUI EasyCache", "#0072b2", "hollow"),
    Line("LazyCache", "ComfyUI LazyCache", "#8c2e2e", "hollow"),
    Line("TaylorSeer, order 1", "TaylorSeer, order 1", "#008a64", "small"),
    Line("TaylorSeer, order 2", "TaylorSeer, order 2", "#78aa3c", "small"),
    Line("First Block Cache", "First Block Cache", "#d55e00", "small"),
    Line("MagCache", "MagCache", "#a67600", "small"),
    Line("Spectrum", "Spectrum", "#56a0dc", "small"),
)


def draw(found: Mapping[str, Any]) -> Figure:
    """The whole picture."""
    every = {model: Results(found, model) for model in models_of(found)}
    counts = " and ".join(sorted({results.captions() for results in every.values()}))
    figure = paper(6.9, "How near to the plain picture, at which speed")
    panels = figure.subplots(1, len(every), squeeze=False)[0]
    for axes, (model, results) in zip(panels, every.items(), strict=True):
        words = "arithmetic of all steps / arithmetic computed"
        prepare(axes, title(model), "PSNR to the plain picture", words, "dB")
        for line in LINES:
            points = list(_places(results, line.name))
            if points:
                mark(axes, points, line.colour, line.shape, line.legend, "-")
    add_legend(
        figure,
        f"Held-out captions ({counts} a row), 30 Euler steps, float32. Small: rules of other packs "
        "and papers, run in the benchmark's harness.",
        4,
    )
    return figure


def _places(results: Results, name: str) -> Iterator[Point]:
    """Speed by arithmetic and PSNR of a row, slowest first."""
    rows = (results.row(name, speed) for speed in results.speeds)
    points = {
        (1 / row["share"]["mean"], row["psnr"]) for row in rows if row and row["psnr"] is not None
    }
    yield from sorted(points)
