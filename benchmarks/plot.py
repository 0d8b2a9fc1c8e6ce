"""Draws docs/quality.png from results/quality.json: what a cache breaks against what it gains."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from plot_canvas import Canvas, Panel

HERE = Path(__file__).resolve().parent
RESULT = HERE / "results" / "quality.json"
PICTURE = HERE.parent / "docs" / "quality.png"

WIDTH, HEIGHT = 1280, 640
MARGIN, GAP = 76, 152
TOP, BOTTOM = 116, 128
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


def draw(data: dict[str, Any]) -> Canvas:
    """The whole picture: a panel per model, one legend."""
    rows = data["rows"]
    captions = min(row["captions"] for row in rows)
    canvas = Canvas(WIDTH, HEIGHT)
    canvas.text((MARGIN, 26), "What a cache gains, and what it breaks", 26, INK, bold=True)
    subtitle = (
        f"{captions} held-out captions, 30 steps. Filled: Step Cache, float32. "
        f"Hollow: ComfyUI's own caches, bfloat16, threshold set to match the speed of our defaults."
    )
    canvas.text((MARGIN, 62), subtitle, 15, MUTED)
    models = [model for model in TITLES if any(row["model"] == model for row in rows)]
    width = (WIDTH - MARGIN - GAP * len(models) + 40) / len(models)
    for i, model in enumerate(models):
        left = MARGIN + i * (width + GAP)
        of_model = [row for row in rows if row["model"] == model]
        _draw_panel(canvas, (left, TOP, left + width, HEIGHT - BOTTOM), model, of_model)
    _draw_legend(canvas, [name for name in COLOURS if any(r["method"] == name for r in rows)])
    return canvas


def _draw_panel(
    canvas: Canvas, box: tuple[float, float, float, float], model: str, rows: list[dict[str, Any]]
) -> None:
    plain = next(r for r in rows if r["method"] == "plain" and r["precision"] == "float32")
    level = 100 * plain["fully_correct"]
    shown = [r for r in rows if _is_shown(r)]
    speeds = [r["speedup"]["median"] for r in shown]
    rates = [100 * r["fully_correct"] for r in shown]
    lowest = min([*rates, level - DROP])
    step = next(s for s in (1, 2, 5, 10, 20) if (101 - lowest) / s <= 8)
    bottom = (lowest - 0.4 * step) // step * step
    panel = Panel(canvas, box, (0.9, max([*speeds, 1.5]) + 0.2), (bottom, 100 + 0.35 * step))
    canvas.text((box[0], box[1] - 30), TITLES[model], 17, INK, bold=True)
    spacing = 0.5 if panel.x_range[1] > 2.2 else 0.2
    for i in range(int((panel.x_range[1] - 1) / spacing) + 1):
        panel.x_tick(1 + i * spacing, f"{1 + i * spacing:.1f}x", GRID, MUTED)
    for value in range(int(bottom), 101, step):
        panel.y_tick(value, f"{value} %", GRID, MUTED)
    panel.line(level, INK, f"plain {level:.1f} %", "ls")
    panel.line(level - DROP, MUTED, f"{DROP:.0f} points lower", "la", dashed=True)
    centre = (box[0] + box[2]) / 2
    canvas.text((centre, box[3] + 34), "measured speedup", 15, MUTED, anchor="ma")
    canvas.text((box[2], box[1] - 26), "pictures fully correct, by speedup", 14, MUTED, anchor="ra")
    for name in COLOURS:
        path = sorted(
            (r["speedup"]["median"], 100 * r["fully_correct"]) for r in shown if r["method"] == name
        )
        if name not in HOSTS:
            panel.path(path, COLOURS[name])
    for row in shown:
        point = (row["speedup"]["median"], 100 * row["fully_correct"])
        panel.marker(point, COLOURS[row["method"]], hollow=row["method"] in HOSTS)
    for row in sorted(shown, key=lambda r: r["method"] in HOSTS):
        point = (row["speedup"]["median"], 100 * row["fully_correct"])
        panel.label(point, _words(row), COLOURS[row["method"]])


def _is_shown(row: dict[str, Any]) -> bool:
    if row["method"] in HOSTS:
        return True
    return row["method"] != "plain" and row["precision"] == "float32"


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
