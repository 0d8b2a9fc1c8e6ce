"""Draws docs/quality.png, calibration.png and forecast.png: what caches gain and change."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pack import ROOT

from . import RESULTS, plot_forecast
from .plot_canvas import Canvas, Colour, Panel, Shape

DOCS = ROOT / "docs"

WIDTH, HEIGHT = 1280, 1120
MARGIN, GAP = 76, 152
TOP, BOTTOM, BETWEEN = 116, 118, 96
INK, MUTED, GRID = (32, 34, 40), (110, 114, 124), (228, 230, 235)
TITLES = {"dit": "DiT reference model", "unet": "UNet reference model"}
DROP = 2.0
HOSTS = {"EasyCache", "LazyCache"}
Row = dict[str, Any]
Points = list[tuple[Row, tuple[float, float]]]
Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Series:
    """How the settings of one method are drawn.

    Args:
        colour: of markers and labels.
        legend: words in the legend.
        shape: of its markers; a line joins those that are filled.
        label: words beside a marker, if any.
    """

    colour: Colour
    legend: str
    shape: Shape = "filled"
    label: Callable[[Row], str] | None = None


@dataclass(frozen=True, slots=True)
class Figure:
    """One picture: two panels per model.

    Args:
        title: the first line.
        subtitle: the second one; ``{captions}`` is filled in.
        series: by method, in the order of the legend.
    """

    title: str
    subtitle: str
    series: Mapping[str, Series]


PAB, DEEPCACHE, FASTERCACHE = (0, 114, 178), (213, 94, 0), (0, 138, 100)
TGATE, SMOOTHCACHE, EASYCACHE, LAZYCACHE = (
    (170, 68, 153), (166, 118, 0), (60, 64, 72), (140, 46, 46),
)  # fmt: skip


def _setting(row: Row) -> str:
    # The font that comes with Pillow lacks the sign of multiplication.
    return row["label"].replace("×", "x")


def _host(colour: Colour, name: str) -> Series:
    return Series(colour, f"ComfyUI {name}", "hollow", lambda _: name.removesuffix("Cache"))


QUALITY = Figure(
    "What a cache gains, and what it changes",
    "{captions} held-out captions, 30 steps. Filled: Step Cache. Hollow: ComfyUI's own caches, "
    "threshold set to match the speed of our defaults.",
    {
        "PAB": Series(PAB, "PAB", label=_setting),
        "DeepCache": Series(DEEPCACHE, "DeepCache", label=_setting),
        "FasterCache": Series(FASTERCACHE, "FasterCache", label=_setting),
        "TGate": Series(TGATE, "TGate", label=_setting),
        "SmoothCache": Series(SMOOTHCACHE, "SmoothCache", label=_setting),
        "EasyCache": _host(EASYCACHE, "EasyCache"),
        "LazyCache": _host(LAZYCACHE, "LazyCache"),
    },
)
CALIBRATION = Figure(
    "What calibrating is good for",
    "{captions} held-out captions, 30 steps; labels are the speed that was wished for. Small: "
    "settings by hand. Hollow: ComfyUI's own caches.",
    {
        "SmoothCache layers": Series((196, 138, 0), "layers", label=_setting),
        "SmoothCache blocks": Series((110, 60, 160), "whole blocks", label=_setting),
        "Advisor": Series((200, 30, 60), "advised", label=_setting),
        "EasyCache": _host(EASYCACHE, "EasyCache"),
        "LazyCache": _host(LAZYCACHE, "LazyCache"),
        "PAB": Series(PAB, "PAB", "small"),
        "DeepCache": Series(DEEPCACHE, "DeepCache", "small"),
        "FasterCache": Series(FASTERCACHE, "FasterCache", "small"),
        "TGate": Series(TGATE, "TGate", "small"),
        "SmoothCache": Series(SMOOTHCACHE, "uniform layers", "small"),
        "whole blocks": Series((110, 60, 160), "uniform blocks", "small"),
    },
)


def draw(figure: Figure, rows: list[Row]) -> Canvas:
    """The whole picture: two panels per model, one legend."""
    rows = [row for row in rows if row["method"] in ("plain", *figure.series)]
    captions = min(row["captions"] for row in rows)
    canvas = Canvas(WIDTH, HEIGHT)
    canvas.text((MARGIN, 26), figure.title, 26, INK, bold=True)
    canvas.text((MARGIN, 62), figure.subtitle.format(captions=captions), 15, MUTED)
    models = [model for model in TITLES if any(row["model"] == model for row in rows)]
    width = (WIDTH - MARGIN - GAP * len(models) + 40) / len(models)
    height = (HEIGHT - TOP - BOTTOM - BETWEEN) / 2
    lower = TOP + height + BETWEEN
    for i, model in enumerate(models):
        left = MARGIN + i * (width + GAP)
        of_model = [row for row in rows if row["model"] == model]
        canvas.text((left, TOP - 30), TITLES[model], 17, INK, bold=True)
        _draw_rates(canvas, (left, TOP, left + width, TOP + height), figure.series, of_model)
        _draw_likeness(canvas, (left, lower, left + width, lower + height), figure.series, of_model)
    methods = {row["method"] for row in rows}
    _draw_legend(canvas, [one for name, one in figure.series.items() if name in methods])
    return canvas


def _draw_rates(canvas: Canvas, box: Box, series: Mapping[str, Series], rows: list[Row]) -> None:
    plain = next(r for r in rows if r["method"] == "plain")
    level = 100 * plain["fully_correct"]
    points = _points(rows, lambda row: 100 * row["fully_correct"])
    lowest = min([*(rate for _, (_, rate) in points), level - DROP])
    step = next(s for s in (1, 2, 5, 10, 20) if (101 - lowest) / s <= 8)
    bottom = (lowest - 0.4 * step) // step * step
    panel = _panel(canvas, box, points, (bottom, 100 + 0.35 * step), "pictures fully correct")
    for value in range(int(bottom), 101, step):
        panel.y_tick(value, f"{value} %", GRID, MUTED)
    panel.line(level, INK, f"plain {level:.1f} %", "ls")
    panel.line(level - DROP, MUTED, f"{DROP:.0f} points lower", "la", dashed=True)
    _mark(panel, points, series)


def _draw_likeness(canvas: Canvas, box: Box, series: Mapping[str, Series], rows: list[Row]) -> None:
    points = _points(rows, lambda row: row["psnr"])
    decibels = [value for _, (_, value) in points]
    bottom, top = min(decibels) // 5 * 5, max(decibels) // 5 * 5 + 5
    words = "likeness to the plain picture (PSNR)"
    panel = _panel(canvas, box, points, (bottom, top), words)
    for value in range(int(bottom), int(top) + 1, 5):
        panel.y_tick(value, f"{value} dB", GRID, MUTED)
    _mark(panel, points, series)


def _points(rows: list[Row], height: Callable[[Row], float]) -> Points:
    """Every cached row with its place: speedup, and what is asked for."""
    shown = [row for row in rows if row["method"] != "plain"]
    return [(row, (row["speedup"]["median"], height(row))) for row in shown]


def _panel(
    canvas: Canvas, box: Box, points: Points, heights: tuple[float, float], words: str
) -> Panel:
    """An empty panel with its axis of speed."""
    panel = Panel(canvas, box, (0.9, max([*(x for _, (x, _) in points), 1.5]) + 0.2), heights)
    spacing = 0.5 if panel.x_range[1] > 2.2 else 0.2
    for i in range(int((panel.x_range[1] - 1) / spacing) + 1):
        panel.x_tick(1 + i * spacing, f"{1 + i * spacing:.1f}x", GRID, MUTED)
    centre = (box[0] + box[2]) / 2
    canvas.text((centre, box[3] + 34), "measured speedup", 15, MUTED, anchor="ma")
    canvas.text((box[2], box[1] - 26), f"{words}, by speedup", 14, MUTED, anchor="ra")
    return panel


def _mark(panel: Panel, points: Points, series: Mapping[str, Series]) -> None:
    for name, one in series.items():
        if one.shape == "filled":
            panel.path(sorted(place for row, place in points if row["method"] == name), one.colour)

    # What was drawn by hand lies below what the picture is about.
    def rank(point: tuple[Row, tuple[float, float]]) -> int:
        return ("small", "hollow", "filled").index(series[point[0]["method"]].shape)

    for row, place in sorted(points, key=rank):
        panel.marker(place, series[row["method"]].colour, series[row["method"]].shape)
    for row, place in sorted(points, key=rank, reverse=True):
        one = series[row["method"]]
        if one.label:
            panel.label(place, one.label(row), one.colour)


def _draw_legend(canvas: Canvas, series: list[Series]) -> None:
    size = 16 if len(series) < 8 else 14
    x = float(MARGIN)
    for one in series:
        canvas.dot((x + 7, HEIGHT - 38), one.colour, one.shape)
        canvas.text((x + 18, HEIGHT - 38), one.legend, size, INK, anchor="lm")
        x += 18 + canvas.width_of(one.legend, size) + (28 if size == 16 else 15)


def main(given: list[str]) -> None:
    argparse.ArgumentParser("python -m benchmarks plot", description=__doc__).parse_args(given)
    quality, calibration = (
        json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))["rows"]
        for name in ("quality", "calibration")
    )
    # The host's caches are compared at the speeds of each figure; plain runs are the same.
    by_hand = [row for row in quality if row["method"] in CALIBRATION.series.keys() - HOSTS]
    for name, figure, rows in (
        ("quality", QUALITY, quality),
        ("calibration", CALIBRATION, [*calibration, *by_hand]),
    ):
        path = DOCS / f"{name}.png"
        draw(figure, rows).save(path)
        print(f"wrote {path}")
    forecast = json.loads((RESULTS / "forecast.json").read_text(encoding="utf-8"))
    path = DOCS / "forecast.png"
    plot_forecast.draw(forecast).save(path)
    print(f"wrote {path}")
