"""Draws docs/quality.png, calibration.png and forecast.png: what caches gain and change."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pack import ROOT

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from . import RESULTS, plot_forecast
from .plot_axes import INK, MUTED, Point, Shape, add_legend, mark, paper, prepare

DOCS = ROOT / "docs"

TITLES = {"dit": "DiT reference model", "unet": "UNet reference model"}
DROP = 2.0
SPEEDUP = "measured speedup"
HOSTS = {"EasyCache", "LazyCache"}
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Series:
    """How the settings of one method are drawn.

    Args:
        colour: of markers and labels.
        legend: words in the legend.
        shape: of its markers.
    """

    colour: str
    legend: str
    shape: Shape = "filled"


@dataclass(frozen=True, slots=True)
class Comparison:
    """One picture: two panels per model.

    Args:
        title: of the picture.
        heading: of the legend; ``{captions}`` is filled in.
        series: by method, in the order of the legend.
        has_labels: whether filled markers have the name of their setting above them.
    """

    title: str
    heading: str
    series: Mapping[str, Series]
    has_labels: bool = False


PAB, DEEPCACHE, FASTERCACHE = "#0072b2", "#d55e00", "#008a64"
TGATE, SMOOTHCACHE, EASYCACHE, LAZYCACHE = "#aa4499", "#a67600", "#3c4048", "#8c2e2e"


SPARE = ("#607d24", "#1496aa", "#785a46")
"""Of methods that have no colour of their own."""


QUALITY = Comparison(
    "What a cache gains, and what it changes",
    "{captions} held-out captions, 30 steps. Lines: mild, default and bold settings, from left to "
    "right. Hollow: ComfyUI's own caches, threshold set to match the speed of our defaults.",
    {
        "PAB": Series(PAB, "PAB"),
        "DeepCache": Series(DEEPCACHE, "DeepCache"),
        "FasterCache": Series(FASTERCACHE, "FasterCache"),
        "TGate": Series(TGATE, "TGate"),
        "SmoothCache": Series(SMOOTHCACHE, "SmoothCache"),
        "EasyCache": Series(EASYCACHE, "ComfyUI EasyCache", "hollow"),
        "LazyCache": Series(LAZYCACHE, "ComfyUI LazyCache", "hollow"),
    },
)
CALIBRATION = Comparison(
    "What calibrating is good for",
    "{captions} held-out captions, 30 steps; labels are the speed that was wished for. Small: "
    "settings by hand. Hollow: ComfyUI's own caches.",
    {
        "SmoothCache layers": Series("#c48a00", "layers"),
        "SmoothCache blocks": Series("#6e3ca0", "whole blocks"),
        "Advisor": Series("#c81e3c", "advised"),
        "EasyCache": Series(EASYCACHE, "ComfyUI EasyCache", "hollow"),
        "LazyCache": Series(LAZYCACHE, "ComfyUI LazyCache", "hollow"),
        "PAB": Series(PAB, "PAB", "small"),
        "DeepCache": Series(DEEPCACHE, "DeepCache", "small"),
        "FasterCache": Series(FASTERCACHE, "FasterCache", "small"),
        "TGate": Series(TGATE, "TGate", "small"),
        "SmoothCache": Series(SMOOTHCACHE, "uniform layers", "small"),
        "whole blocks": Series("#6e3ca0", "uniform blocks", "small"),
    },
    has_labels=True,
)


def with_others(comparison: Comparison, rows: list[Row]) -> Comparison:
    """With every other method whose default setting was scored."""
    scored = dict.fromkeys(row["method"] for row in rows if row["label"] == "default")
    names = [name for name in scored if name not in comparison.series]
    others = {name: Series(SPARE[i % len(SPARE)], name) for i, name in enumerate(names)}
    return replace(comparison, series={**comparison.series, **others})


def draw(comparison: Comparison, rows: list[Row]) -> Figure:
    """The whole picture: two panels per model, one legend."""
    rows = [row for row in rows if row["method"] in ("plain", *comparison.series)]
    captions = min(row["captions"] for row in rows)
    figure = paper(11.2, comparison.title)
    models = [model for model in TITLES if any(row["model"] == model for row in rows)]
    panels = figure.subplots(2, len(models), squeeze=False)
    for (upper, lower), model in zip(panels.T, models, strict=True):
        of_model = [row for row in rows if row["model"] == model]
        prepare(upper, TITLES[model], "pictures fully correct, by speedup", SPEEDUP, "%")
        _mark(upper, comparison, of_model, lambda row: 100 * row["fully_correct"])
        level = 100 * next(r["fully_correct"] for r in of_model if r["method"] == "plain")
        upper.axhline(level, color=INK, label="plain", linewidth=1.4)
        upper.axhline(level - DROP, color=MUTED, linestyle="--", label=f"{DROP:.0f} points lower")
        prepare(lower, "", "likeness to the plain picture (PSNR), by speedup", SPEEDUP, "dB")
        _mark(lower, comparison, of_model, lambda row: row["psnr"])
    add_legend(figure, comparison.heading.format(captions=captions), 6)
    return figure


def _mark(
    axes: Axes, comparison: Comparison, rows: list[Row], height: Callable[[Row], float]
) -> None:
    for name, one in comparison.series.items():
        own = [row for row in rows if row["method"] == name]
        places: dict[Point, str] = {
            (row["speedup"]["median"], height(row)): row["label"] for row in own
        }
        if places:
            mark(axes, sorted(places), one.colour, one.shape, one.legend)
        for place, label in (
            places.items() if comparison.has_labels and one.shape == "filled" else ()
        ):
            axes.annotate(
                label, place, (0, 7), textcoords="offset points", ha="center", color=one.colour,
                fontsize=9,
            )  # fmt: skip


def main(given: list[str]) -> None:
    argparse.ArgumentParser("python -m benchmarks plot", description=__doc__).parse_args(given)
    quality, calibration = (
        json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))["rows"]
        for name in ("quality", "calibration")
    )
    # The host's caches are compared at the speeds of each figure; plain runs are the same.
    by_hand = [row for row in quality if row["method"] in CALIBRATION.series.keys() - HOSTS]
    for name, comparison, rows in (
        ("quality", with_others(QUALITY, quality), quality),
        ("calibration", CALIBRATION, [*calibration, *by_hand]),
    ):
        path = DOCS / f"{name}.png"
        draw(comparison, rows).savefig(path)
        print(f"wrote {path}")
    forecast = json.loads((RESULTS / "forecast.json").read_text(encoding="utf-8"))
    path = DOCS / "forecast.png"
    plot_forecast.draw(forecast).savefig(path)
    print(f"wrote {path}")
