"""The comparison of `forecast.py` as Markdown: results/forecast.md, and a table of the README.

Needs Python alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from .page import NONE, markdown

TITLES = {"dit": "DiT", "unet": "UNet", "textures": "Textures"}
OURS = "Step Cache"
LAYERS = frozenset({
    "DeepCache", "SmoothCache, blocks", "SmoothCache, layers", "uniform blocks", "PAB, blocks",
    "PAB", "FasterCache", "T-GATE",
})  # fmt: skip
"""The pack's methods that act inside the network."""
CALLED = {
    "fewer steps": "fewer steps, same sampler",
    "EasyCache": "ComfyUI EasyCache",
    "LazyCache": "ComfyUI LazyCache",
    **{name: f"our {name}" for name in LAYERS},
}
NEAR = 0.05
"""How far above the wanted share a row may be to be the nearest at it, relative."""
FIRST_SEED = 7
Row = Mapping[str, Any]
Cell = Callable[[Row], str]


class Results:
    """The rows of one model, sampler and seed, by name and speed."""

    def __init__(
        self, found: Mapping[str, Any], model: str, sampler: str = "euler", seed: int = FIRST_SEED
    ) -> None:
        rows = [
            row for row in found["rows"]
            if (row["model"], row["sampler"], row["seed"]) == (model, sampler, seed)
        ]  # fmt: skip
        self.plain = next((row for row in rows if row["method"] == "plain"), None)
        self._rows = {
            (row["method"], row["speed"]): row for row in rows if row["method"] != "plain"
        }
        self.speeds = sorted({speed for _, speed in self._rows})

    def names(self, order: Sequence[str]) -> list[str]:
        """The rows that there are; those that `order` does not name come last."""
        found = {name for name, _ in self._rows}
        return [*(n for n in order if n in found), *sorted(found - {*order})]

    def row(self, name: str, speed: float) -> Row | None:
        """One row."""
        return self._rows.get((name, speed))

    def best(self, speed: float) -> Row | None:
        """The row nearest to the plain picture among those that compute no more than wanted."""
        rows = [row for (_, each), row in self._rows.items() if each == speed and is_at_share(row)]
        return max(rows, key=likeness, default=None)


ORDER = (
    OURS, "fewer steps", "fewer steps, DPM++ 2M", "EasyCache", "LazyCache", "DeepCache",
    "SmoothCache, blocks", "SmoothCache, layers", "uniform blocks", "PAB, blocks", "PAB",
    "FasterCache", "T-GATE", "TaylorSeer, order 1", "TaylorSeer, order 2", "First Block Cache",
    "MagCache", "Spectrum",
)  # fmt: skip


def is_at_share(row: Row) -> bool:
    """Whether a row computes no more than was wanted, or hardly."""
    return row["share"]["mean"] <= row["wanted_share"] * (1 + NEAR)


def likeness(row: Row) -> float:
    """PSNR, dB; of identical pictures infinite."""
    return float("inf") if row["psnr"] is None else row["psnr"]


def decibels(row: Row) -> str:
    """PSNR, and the share that it was reached at if that is another one than wanted."""
    text = "equal" if row["psnr"] is None else f"{row['psnr']:.1f}"
    away = abs(row["share"]["mean"] / row["wanted_share"] - 1)
    return f"{text} (at {row['share']['mean']:.2f})" if away > NEAR else text


def percent(row: Row) -> str:
    return f"{100 * row['fully_correct']:.1f}"


def lead(row: Row) -> str:
    """How far Step Cache is ahead."""
    behind = row.get("behind")
    return f"{behind['mean']:+.1f} ±{behind['error']:.1f}" if behind else ""


def grid(results: Results, cell: Cell, is_ranked: bool = False) -> str:
    """Rows down, speeds across.

    Args:
        results: of one model.
        cell: what a row says.
        is_ranked: whether the nearest row of each column is bold.
    """
    head = ["", *(f"{speed:g}×" for speed in results.speeds)]
    best = [results.best(speed) for speed in results.speeds] if is_ranked else []
    lines: list[list[str]] = []
    for name in results.names(ORDER):
        rows = [results.row(name, speed) for speed in results.speeds]
        cells = [cell(row) if row else NONE for row in rows]
        for number, row in enumerate(best):
            if row is not None and row is rows[number]:
                cells[number] = f"**{cells[number]}**"
        if any(each not in ("", NONE) for each in cells):
            lines.append([CALLED.get(name, name), *cells])
    return markdown(head, lines)


def winners(found: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for every share at which something else is nearest."""
    for model in models_of(found):
        results = Results(found, model)
        for speed in results.speeds:
            best, own = results.best(speed), results.row(OURS, speed)
            if best is None or own is None or best["method"] == OURS:
                continue
            name = CALLED.get(best["method"], best["method"])
            yield (
                f"{title(model)}, {speed:g}×: {name} is nearer, {decibels(best)} dB beside "
                f"{decibels(own)}."
            )


def models_of(found: Mapping[str, Any]) -> list[str]:
    """Models that have rows, in order."""
    there = {row["model"] for row in found["rows"]}
    return [*(m for m in TITLES if m in there), *sorted(there - TITLES.keys())]


def title(model: str) -> str:
    return TITLES.get(model, model)


def captions(found: Mapping[str, Any], model: str, names: Sequence[str]) -> str:
    """How many captions rows of a model have, as a range."""
    counts = {
        row["captions"] for row in found["rows"]
        if row["model"] == model and row["method"] in names and row["sampler"] == "euler"
        and row["seed"] == FIRST_SEED
    }  # fmt: skip
    return f"{min(counts)}" if len(counts) == 1 else f"{min(counts)} to {max(counts)}"


def readme_table(found: Mapping[str, Any]) -> str:
    """PSNR of every row at every speed, all models, and what wins where Step Cache does not."""
    parts: list[str] = []
    for model in models_of(found):
        results = Results(found, model)
        plain = percent(results.plain) if results.plain else NONE
        names = results.names(ORDER)
        parts.append(
            f"{title(model)} (dB; {captions(found, model, names)} captions a row; "
            f"plain right {plain} %):\n\n{_with_right(results)}"
        )
    lost = [f"* {line}" for line in winners(found)]
    parts.append("Where something else wins:\n\n" + "\n".join(lost) if lost else "")
    return "\n\n".join(filter(None, parts))


def _with_right(results: Results, speed: float = 3.0) -> str:
    """The ranked table with a column of pictures judged right at one speed."""
    lines = grid(results, decibels, is_ranked=True).splitlines()
    rows = [results.row(name, speed) for name in results.names(ORDER)]
    right = [f"{percent(row)} %" if row else NONE for row in rows]
    cells = [f"right at {speed:g}×", "---", *right]
    return "\n".join(
        f"{line} {cell} |" if cell != "---" else f"{line}---|"
        for line, cell in zip(lines, cells, strict=True)
    )


def page_of(found: Mapping[str, Any]) -> str:
    """The whole page."""
    parts = [
        "# Step Cache beside what else there is",
        "Written by `benchmarks/forecast.py` from the JSON file beside it.",
        found["method"],
        "Bold: nearest to the plain picture among rows that compute no more than wanted. In "
        "brackets: the share of a row that computes another one than wanted.",
    ]
    parts += [f"* {line}" for line in winners(found)]
    for model in models_of(found):
        parts += list(_model(found, model))
    return "\n\n".join(parts) + "\n"


def _model(found: Mapping[str, Any], model: str) -> Iterator[str]:
    results = Results(found, model)
    if not results.speeds:
        return
    plain = percent(results.plain) if results.plain else NONE
    yield f"## {title(model)}"
    yield f"PSNR to the plain picture, dB\n\n{grid(results, decibels, is_ranked=True)}"
    yield f"Step Cache ahead on the same captions, dB\n\n{grid(results, lead)}"
    yield f"Pictures fully correct, % (plain {plain})\n\n{grid(results, percent)}"
    yield f"SSIM\n\n{grid(results, _ssim)}"
    yield f"Share of the FLOPs\n\n{grid(results, _share)}"
    yield f"Speed in pairs, plain ÷ own seconds\n\n{grid(results, _speed)}"
    yield f"Captions\n\n{grid(results, lambda row: str(row['captions']))}"
    others = {(row["sampler"], row["seed"]) for row in found["rows"] if row["model"] == model}
    for sampler, seed in sorted(others - {("euler", FIRST_SEED)}):
        other = Results(found, model, sampler, seed)
        if other.speeds:
            table = grid(other, decibels, is_ranked=True)
            yield f"PSNR, {sampler}, seed {seed}, dB\n\n{table}"


def _ssim(row: Row) -> str:
    return f"{row['ssim']:.3f}"


def _share(row: Row) -> str:
    return f"{row['share']['mean']:.3f}"


def _speed(row: Row) -> str:
    return f"{row['speedup']['median']:.2f}" if "speedup" in row else ""
