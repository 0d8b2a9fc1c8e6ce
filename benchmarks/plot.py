"""Draws docs/quality.png from results/quality.json: what a cache gains, and what it changes."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from plot_canvas import Canvas, Panel

HERE = Path(__file__).resolve().parent
RESULT = HERE / "results" / "quality.json"
PICTURE = HERE.parent / "docs" / "quality.png"

WIDTH, HEIGHT = 1280, 1120
MARGIN, GAP = 76, 152
TOP, BOTTOM, BETWEEN = 116, 118, 96
INK, MUTED, GRID = (32, 34, 40), (110, 114, 124), (228, 230, 235)
TITLES = {"dit": "DiT reference model", "unet": "UNet reference model"}
COLOURS = {
    "PAB": (0, 114, 178),
    "DeepCache": (213, 94, 0),
    "FasterCache": (0, 138, 100),
    "TGate": (170, 68, 153),
    "SmoothCache": (166, 118, 0),
    "EasyCache": (60, 64, 72),
    "LazyCache": (140, 46, 46),
}
HOSTS = ("EasyCache", "LazyCache")
DROP = 2.0
Row = dict[str, Any]
Box = tuple[float, float, float, float]


def draw(data: dict[str, Any]) -> Canvas:
    """The whole picture: two panels per model, one legend."""
    rows = data["rows"]
    captions = min(row["captions"] for row in rows)
    canvas = Canvas(WIDTH, HEIGHT)
    canvas.text((MARGIN, 26), "What a cache gains, and what it changes", 26, INK, bold=True)
    subtitle = (
        f"{captions} held-out captions, 30 steps. Filled: Step Cache. Hollow: ComfyUI's own "
        f"caches, threshold set to match the speed of our defaults."
    )
    canvas.text((MARGIN, 62), subtitle, 15, MUTED)
    models = [model for model in TITLES if any(row["model"] == model for row in rows)]
    width = (WIDTH - MARGIN - GAP * len(models) + 40) / len(models)
    height = (HEIGHT - TOP - BOTTOM - BETWEEN) / 2
    lower = TOP + height + BETWEEN
    for i, model in enumerate(models):
        left = MARGIN + i * (width + GAP)
        of_model = [row for row in rows if row["model"] == model]
        _draw_rates(canvas, (left, TOP, left + width, TOP + height), TITLES[model], of_model)
        _draw_likeness(canvas, (left, lower, left + width, lower + height), of_model)
    _draw_legend(canvas, [name for name in COLOURS if any(r["method"] == name for r in rows)])
    return canvas


def _draw_rates(canvas: Canvas, box: Box, title: str, rows: list[Row]) -> None:
    plain = next(r for r in rows if r["method"] == "plain")
    level = 100 * plain["fully_correct"]
    points = _points(rows, lambda row: 100 * row["fully_correct"])
    lowest = min([*(rate for _, (_, rate) in points), level - DROP])
    step = next(s for s in (1, 2, 5, 10, 20) if (101 - lowest) / s <= 8)
    bottom = (lowest - 0.4 * step) // step * step
    canvas.text((box[0], box[1] - 30), title, 17, INK, bold=True)
    panel = _panel(canvas, box, points, (bottom, 100 + 0.35 * step), "pictures fully correct")
    for value in range(int(bottom), 101, step):
        panel.y_tick(value, f"{value} %", GRID, MUTED)
    panel.line(level, INK, f"plain {level:.1f} %", "ls")
    panel.line(level - DROP, MUTED, f"{DROP:.0f} points lower", "la", dashed=True)
    _mark(panel, points)


def _draw_likeness(canvas: Canvas, box: Box, rows: list[Row]) -> None:
    points = _points(rows, lambda row: row["psnr"])
    decibels = [value for _, (_, value) in points]
    bottom, top = min(decibels) // 5 * 5, max(decibels) // 5 * 5 + 5
    panel = _panel(canvas, box, points, (bottom, top), "likeness to the plain picture (PSNR)")
    for value in range(int(bottom), int(top) + 1, 5):
        panel.y_tick(value, f"{value} dB", GRID, MUTED)
    _mark(panel, points)


def _points(
    rows: list[Row], height: Callable[[Row], float]
) -> list[tuple[Row, tuple[float, float]]]:
    """Every cached row with its place: speedup, and what is asked for."""
    shown = [row for row in rows if row["method"] != "plain"]
    return [(row, (row["speedup"]["median"], height(row))) for row in shown]


def _panel(
    canvas: Canvas,
    box: Box,
    points: list[tuple[Row, tuple[float, float]]],
    heights: tuple[float, float],
    words: str,
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


def _mark(panel: Panel, points: list[tuple[Row, tuple[float, float]]]) -> None:
    for name in COLOURS:
        if name not in HOSTS:
            path = sorted(place for row, place in points if row["method"] == name)
            panel.path(path, COLOURS[name])
    for row, place in points:
        panel.marker(place, COLOURS[row["method"]], hollow=row["method"] in HOSTS)
    for row, place in sorted(points, key=lambda point: point[0]["method"] in HOSTS):
        panel.label(place, _words(row), COLOURS[row["method"]])


def _words(row: dict[str, Any]) -> str:
    return row["method"].removesuffix("Cache") if row["method"] in HOSTS else row["label"]


def _draw_legend(canvas: Canvas, names: list[str]) -> None:
    x = float(MARGIN)
    for name in names:
        words = f"ComfyUI {name}" if name in HOSTS else name
        canvas.dot((x + 7, HEIGHT - 38), COLOURS[name], hollow=name in HOSTS)
        canvas.text((x + 20, HEIGHT - 38), words, 16, INK, anchor="lm")
        x += 20 + canvas.width_of(words, 16) + 30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--result", type=Path, default=RESULT)
    parser.add_argument("--picture", type=Path, default=PICTURE)
    arguments = parser.parse_args()
    data = json.loads(arguments.result.read_text(encoding="utf-8"))
    draw(data).save(arguments.picture)
    print(f"wrote {arguments.picture}")


if __name__ == "__main__":
    main()
