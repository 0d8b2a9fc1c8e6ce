"""README tables of single benchmarks: files of results in, Markdown out. Needs Python alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import help_results as shown

from .forecast_page import readme_table
from .page import markdown

WORKFLOWS = {
    "dit_plain": "DiT plain",
    "dit_stepcache": "DiT, Step Cache, speed 2",
    "dit_pab": "DiT, PAB 2 / 6, window 0.15-0.9",
    "dit_fastercache": "DiT, FasterCache",
    "dit_fastercache_pab": "DiT, FasterCache's guidance + PAB",
    "dit_smoothcache": "DiT, SmoothCache, every 2nd step",
    "dit_tgate": "DiT, T-GATE, gate 18 of 30",
    "dit_clip_plain": "DiT clip of 4 frames, plain",
    "dit_clip_stepcache": "DiT clip, Step Cache, speed 2",
    "dit_clip_pab": "DiT clip, PAB 2 / 6",
    "unet_plain": "UNet plain",
    "unet_stepcache": "UNet, Step Cache, speed 2",
    "unet_deepcache": "UNet, DeepCache interval 3, branch 0",
    "unet_fastercache": "UNet, FasterCache",
    "unet_tgate": "UNet, T-GATE, gate 18 of 30",
    "unet_tgate_deepcache": "UNet, T-GATE + DeepCache",
}
"""What the demo's workflows are called in the README, in its order."""

FULL_WIDTH: tuple[tuple[str, str | None, tuple[str, ...]], ...] = (
    ("step_cache", None, (
        "Step Cache, speed 2, 12 steps", "Step Cache, speed 2, 12 steps",
        "Step Cache, speed 2, 30 steps",
    )),
    ("deepcache", "SD1.5 full width, 256 × 256", (
        "DeepCache interval 3, branch 0", "DeepCache interval 3, branch 1",
        "DeepCache interval 5, branch 0", "DeepCache interval 5, branch 1",
    )),
    ("pab", "Wan-type DiT, width 1536, 256 tokens", (
        "PAB self 2, cross 6, whole run", "PAB self 3, cross 1, whole run",
    )),
    ("smoothcache", "", (
        "SmoothCache, 3 of 6 steps, attention",
        "SmoothCache, 3 of 6 steps, attention and feed-forward",
    )),
    ("fastercache", "the same, 1024 tokens", (
        "FasterCache, guidance only, interval 5", "FasterCache, attention only, range 2",
        "FasterCache, both",
    )),
    ("tgate", "", (
        "T-GATE, gate 2 of 5", "T-GATE, gate 4 of 8, self-attention every 2nd step",
    )),
)  # fmt: skip
"""File, model (None: each row has its own), and what its rows are called, in their order."""

DEFAULTS = {
    "DeepCache": "DeepCache interval 3, branch 0",
    "PAB": "PAB 2 / 6, window 0.15-0.9",
    "FasterCache": "FasterCache",
    "TGate": "T-GATE gate 18, self 5",
    "SmoothCache": "SmoothCache, every 2nd step",
}
"""What the README calls default settings, in its order; others have the name of their method."""
CHOSEN = {
    "SmoothCache Schedule": "SmoothCache, layers",
    "SmoothCache Schedule on whole blocks": "SmoothCache, whole blocks",
    "DeepCache UNet": "DeepCache",
}
"""What the README calls methods that the advisor chose inside the network."""


def demo(results: Path) -> str:
    """What the demo printed: every workflow of its models."""
    models = _read(results, "demo")["models"]
    rows = {row["workflow"]: row for group in models.values() for row in group}

    def line(name: str, words: str) -> list[str]:
        row = rows[name]
        right, _, count = row["verdict"].removesuffix(" pictures correct").partition(" of ")
        judged = f"{right} of {count}" if count != "1" else ("wrong", "correct")[int(right)]
        beside = [""] * 6
        if row["speedup"] is not None:
            beside = [
                f"{row['speedup']:.2f}×", str(row["computed"]), str(row["reused"]),
                f"{row['psnr']:.1f} dB", f"{row['ssim']:.3f}", f"{row['extra_mib']:.1f}",
            ]  # fmt: skip
        return [words, f"{row['seconds']:.2f}", *beside, judged]

    head = [
        "workflow",
        "seconds",
        "speedup",
        "computed",
        "reused",
        "PSNR",
        "SSIM",
        "extra MiB",
        "judged",
    ]
    return markdown(head, [line(*each) for each in WORKFLOWS.items()])


def arithmetic(results: Path) -> str:
    """Speed at full width beside the bound in FLOPs."""
    lines: list[list[str]] = []
    for name, model, methods in FULL_WIDTH:
        rows = _read(results, name)["rows"]
        if len(rows) != len(methods):
            raise LookupError(f"{name}.json with {len(methods)} rows")
        for number, (row, words) in enumerate(zip(rows, methods, strict=True)):
            bound, median = row["flop_bound"], row["speedup"]["median"]
            share = f"{row['share_of_bound']:.2f}"
            shown_model = row["model"] if model is None else model if number == 0 else ""
            lines.append([shown_model, words, f"{bound:.2f}×", f"{median:.2f}×", share])
    return markdown(("model", "method", "FLOP bound", "measured", "share"), lines)


def defaults(results: Path) -> str:
    """What default settings gain and break on the reference models."""
    found = _read(results, "quality")

    def row(model: str, method: str, label: str) -> dict[str, Any] | None:
        return shown.row_of(found, model, method, (label,))

    def plain(model: str) -> str:
        return f"right (plain {shown.percent((row(model, 'plain', '') or {})['fully_correct'])})"

    def numbers(model: str, method: str) -> list[str]:
        each = row(model, method, "default")
        if each is None:
            return [""] * 3
        return [shown.speed(each), shown.percent(each["fully_correct"]), shown.likeness(each)]

    scored = (row["method"] for row in found["rows"] if row["label"] == "default")
    others = {method: method for method in scored if method not in DEFAULTS}
    head = ["default settings"]
    for model, title in shown.MODELS.items():
        head += [f"{title}: speedup", plain(model), "PSNR"]
    return markdown(head, [
        [words, *numbers("dit", method), *numbers("unet", method)]
        for method, words in (DEFAULTS | others).items()
    ])  # fmt: skip


def advised(results: Path) -> str:
    """What the advisor chose inside the network for a speed, and what came of it."""
    found, quality = _read(results, "calibration"), _read(results, "quality")

    def lines() -> Iterator[list[str]]:
        for model, title in shown.MODELS.items():
            plain = shown.row_of(quality, model, "plain", ("",)) or {}
            begin = f"{title} (plain {shown.percent(plain['fully_correct'])}) "
            for target, advice in found["advised"][model].items():
                method, label = advice["row"]
                row = shown.row_of(found, model, method, (label,))
                if row is None:
                    raise LookupError(f"{method} {label} on {model}")
                name: str = advice["reason"][0].partition(":")[0]
                chosen = CHOSEN.get(name, name)
                if chosen == "DeepCache":
                    told = (shown.parameter(row["parameters"], n) for n in ("interval", "branch"))
                    chosen = f"{chosen} {', '.join(told)}"
                predicted = f"{row['predicted']['speedup']:.2f}×"
                right = shown.percent(row["fully_correct"])
                numbers = (predicted, shown.speed(row), right, shown.likeness(row))
                yield [f"{begin}{target}", chosen, *numbers]
                begin = ""

    head = ["target speedup", "method chosen", "predicted", "measured", "right", "PSNR"]
    return markdown(head, lines())


def forecast(results: Path) -> str:
    """How near Step Cache and others stay to the plain picture."""
    return readme_table(_read(results, "forecast"))


def _read(results: Path, name: str) -> dict[str, Any]:
    return json.loads((results / f"{name}.json").read_text(encoding="utf-8"))
