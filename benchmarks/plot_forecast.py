"""Draws how near Step Cache and others stay to the plain picture, by speed: one panel per model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .forecast_results import NEAREST_LAYERS, OURS, Results, models_of, title
from .plot_canvas import Canvas, Colour, Panel, Point, Shape

WIDTH, HEIGHT = 1280, 690
MARGIN, GAP = 76, 62
TOP, BOTTOM = 122, 146
INK, MUTED, GRID = (32, 34, 40), (110, 114, 124), (228, 230, 235)
SPEEDS = (0.9, 4.2)
LEGEND_SIZE, LEGEND_COLUMNS, LEGEND_LINE = 14, 4, 24


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
    colour: Colour
    shape: Shape


LINES = (
    Line(OURS, "Step Cache", (200, 30, 60), "filled"),
    Line("fewer steps", "fewer steps, Euler", (60, 64, 72), "filled"),
    Line("fewer steps, DPM++ 2M", "fewer steps, DPM++ 2M", (140, 144, 156), "filled"),
    Line(NEAREST_LAYERS, "our layer methods, the nearest", (110, 60, 160), "filled"),
    Line("EasyCache", "ComfyUI EasyCache", (0, 114, 178), "hollow"),
    Line("LazyCache", "ComfyUI LazyCache", (140, 46, 46), "hollow"),
    Line("TaylorSeer, order 1", "TaylorSeer, order 1", (0, 138, 100), "small"),
    Line("TaylorSeer, order 2", "TaylorSeer, order 2", (120, 170, 60), "small"),
    Line("First Block Cache", "First Block Cache", (213, 94, 0), "small"),
    Line("MagCache", "MagCache", (166, 118, 0), "small"),
    Line("Spectrum", "Spectrum", (86, 160, 220), "small"),
)


def draw(found: Mapping[str, Any]) -> Canvas:
    """The whole picture."""
    canvas = Canvas(WIDTH, HEIGHT)
    every = {model: Results(found, model) for model in models_of(found)}
    counts = " and ".join(sorted({results.captions() for results in every.values()}))
    canvas.text((MARGIN, 26), "How near to the plain picture, at which speed", 26, INK, bold=True)
    width = (WIDTH - MARGIN - GAP * len(every)) / len(every)
    for number, (model, results) in enumerate(every.items()):
        left = MARGIN + number * (width + GAP)
        canvas.text((left, TOP - 32), title(model), 17, INK, bold=True)
        _draw_panel(canvas, (left, TOP, left + width, HEIGHT - BOTTOM), results)
    there = [
        line for line in LINES if any([*_places(results, line.name)] for results in every.values())
    ]
    words = f"Held-out captions ({counts} a row), 30 Euler steps, float32."
    if any(line.shape == "small" for line in there):
        words += " Rules of other packs and papers run in the benchmark's harness."
    canvas.text((MARGIN, 62), words, 15, MUTED)
    _draw_legend(canvas, there)
    return canvas


def _draw_panel(canvas: Canvas, box: tuple[float, float, float, float], results: Results) -> None:
    places = {line: list(_places(results, line.name)) for line in LINES}
    heights = [height for line in places.values() for _, height in line]
    bottom, top = min(heights) // 5 * 5, max(heights) // 5 * 5 + 5
    panel = Panel(canvas, box, SPEEDS, (bottom, top))
    for value in range(int(bottom), int(top) + 1, 5):
        panel.y_tick(value, f"{value} dB", GRID, MUTED)
    for half in range(2, 9):
        panel.x_tick(half / 2, f"{half / 2:g}x", GRID, MUTED)
    words = "arithmetic of all steps / arithmetic computed"
    canvas.text(((box[0] + box[2]) / 2, box[3] + 32), words, 14, MUTED, anchor="ma")
    canvas.text((box[2], box[1] - 26), "PSNR to the plain picture", 14, MUTED, anchor="ra")
    # What the picture is about is drawn last.
    for line, points in reversed(places.items()):
        panel.path(points, line.colour)
        for point in points:
            panel.marker(point, line.colour, line.shape)


def _places(results: Results, name: str) -> Iterator[Point]:
    """Speed by arithmetic and PSNR of a row, slowest first."""
    rows = (results.row(name, speed) for speed in results.speeds)
    points = {
        (1 / row["share"]["mean"], row["psnr"]) for row in rows if row and row["psnr"] is not None
    }
    yield from sorted(points)


def _draw_legend(canvas: Canvas, lines: list[Line]) -> None:
    width = (WIDTH - 2 * MARGIN) / LEGEND_COLUMNS
    for number, line in enumerate(lines):
        row, column = divmod(number, LEGEND_COLUMNS)
        x, y = MARGIN + column * width, HEIGHT - 70 + row * LEGEND_LINE
        canvas.dot((x + 7, y), line.colour, line.shape)
        canvas.text((x + 20, y), line.legend, LEGEND_SIZE, INK, anchor="lm")
