"""The comparison of `forecast.py` as Markdown: results/forecast.md, and a table of the README.

Needs Python alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from .forecast_results import (
    EVERY,
    LAYERS,
    NEAR,
    OURS,
    SAMPLER,
    SEED,
    SHORT,
    Results,
    Row,
    models_of,
    title,
)
from .page import NONE, markdown

CALLED = {
    "fewer steps": "fewer steps, same sampler",
    "EasyCache": "ComfyUI EasyCache",
    "LazyCache": "ComfyUI LazyCache",
    **{name: f"our {name}" for name in LAYERS},
}
JUDGED_AT = 3.0
"""Speed at which the README tells how many pictures are right."""
Found = Mapping[str, Any]


def decibels(row: Row) -> str:
    """PSNR, and the share that it was reached at if that is another one than wanted."""
    text = "equal" if row["psnr"] is None else f"{row['psnr']:.1f}"
    away = abs(row["share"]["mean"] / row["wanted_share"] - 1)
    return f"{text} (at {row['share']['mean']:.2f})" if away > NEAR else text


def percent(row: Row) -> str:
    """Pictures judged right."""
    return f"{100 * row['fully_correct']:.1f}"


def _beside_plain(row: Row) -> str:
    """Pictures judged right, and those of the plain model for the same captions."""
    return f"{percent(row)} / {100 * row['plain_fully_correct']:.1f} %"


def lead(row: Row) -> str:
    """How far Step Cache is ahead on the same captions, dB."""
    behind = row.get("behind")
    if not behind:
        return ""
    error = "" if behind["error"] is None else f" ±{behind['error']:.1f}"
    return f"{behind['mean']:+.1f}{error}"


def _ssim(row: Row) -> str:
    return f"{row['ssim']:.3f}"


def share(row: Row) -> str:
    """Of the FLOPs."""
    return f"{row['share']['mean']:.3f}"


def _speed(row: Row) -> str:
    return f"{row['speedup']['median']:.2f}" if "speedup" in row else ""


def _captions(row: Row) -> str:
    return str(row["captions"])


def grid(
    results: Results, cell: Callable[[Row], str], names: Sequence[str], is_ranked: bool = False
) -> list[list[str]]:
    """Rows down, speeds across; the first line is the head.

    Args:
        results: of one model.
        cell: what a row says.
        names: which rows; those that say nothing are left out.
        is_ranked: whether the nearest row of each column is bold.
    """
    lines = [["", *(f"{speed:g}×" for speed in results.speeds)]]
    best = [results.best(speed) if is_ranked else None for speed in results.speeds]
    for name in names:
        rows = [results.row(name, speed) for speed in results.speeds]
        cells = [cell(row) if row else NONE for row in rows]
        if any(each not in ("", NONE) for each in cells):
            bold = (row is not None and row is first for row, first in zip(rows, best, strict=True))
            shown = (f"**{c}**" if b else c for c, b in zip(cells, bold, strict=True))
            lines.append([CALLED.get(name, name), *shown])
    return lines


def _table(
    results: Results, cell: Callable[[Row], str], names: Sequence[str], is_ranked: bool = False
) -> str:
    head, *lines = grid(results, cell, names, is_ranked)
    return markdown(head, lines)


def winners(found: Found) -> list[str]:
    """A sentence for every share at which something else is nearest."""
    return [
        f"* {title(model)}, {line}" for model in models_of(found) for line in _lost(found, model)
    ]


def _lost(found: Found, model: str) -> Iterator[str]:
    results = Results(found, model)
    for speed in results.speeds:
        best, own = results.best(speed), results.row(OURS, speed)
        if best is not None and own is not None and best["method"] != OURS:
            name = CALLED.get(best["method"], best["method"])
            yield f"{speed:g}×: {name} is nearer, {decibels(best)} dB beside {decibels(own)}."


def readme_table(found: Found) -> str:
    """PSNR of the rows at every speed, per model, and what wins where Step Cache does not."""
    parts = [_short(Results(found, model), title(model)) for model in models_of(found)]
    lost = winners(found)
    return "\n\n".join(
        [*parts, "Where something else wins:\n\n" + "\n".join(lost)] if lost else parts
    )


def _short(results: Results, name: str) -> str:
    names = [n for n in SHORT if any(results.row(n, speed) for speed in results.speeds)]
    head, *lines = grid(results, decibels, names, is_ranked=True)
    right = [results.row(each, JUDGED_AT) for each in names]
    told = [_beside_plain(row) if row else NONE for row in right]
    return markdown(
        [
            f"{name}, {results.captions()} captions",
            *head[1:],
            f"right at {JUDGED_AT:g}× / plain",
        ],
        [[*line, each] for line, each in zip(lines, told, strict=True)],
    )


def page_of(found: Found) -> str:
    """The whole page."""
    parts = [
        "# Step Cache beside what else there is",
        "Written by `python -m benchmarks forecast` from the JSON file beside it.",
        found["method"],
        "Bold: nearest to the plain picture among rows that compute no more than wanted. In "
        "brackets: the share of a row that computes another one than wanted.",
        "\n".join(winners(found)),
    ]
    parts += [part for model in models_of(found) for part in _model(found, model)]
    return "\n\n".join(filter(None, parts)) + "\n"


def _model(found: Found, model: str) -> Iterator[str]:
    results = Results(found, model)
    yield f"## {title(model)}"
    yield f"PSNR to the plain picture, dB\n\n{_table(results, decibels, EVERY, is_ranked=True)}"
    for words, cell in (
        ("Step Cache ahead on the same captions, dB", lead),
        ("Pictures fully correct / those of the plain model for the same captions", _beside_plain),
        ("SSIM", _ssim),
        ("Share of the FLOPs", share),
        ("Speed in pairs, plain ÷ own seconds", _speed),
        ("Captions", _captions),
    ):
        yield f"{words}\n\n{_table(results, cell, EVERY)}"
    others = {(row["sampler"], row["seed"]) for row in found["rows"] if row["model"] == model}
    for sampler, seed in sorted(others - {(SAMPLER, SEED)}):
        other = Results(found, model, sampler, seed)
        if other.rows:
            table = _table(other, decibels, EVERY, is_ranked=True)
            words = f"{other.captions()} captions"
            yield f"PSNR to the plain picture, {sampler}, seed {seed}, dB ({words})\n\n{table}"
