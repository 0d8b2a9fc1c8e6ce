"""Step Cache with another method inside it, as Markdown: results/forecast_combined.md.

Needs Python alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from .forecast_page import decibels, lead, share
from .forecast_results import OURS, PAIRED, Results, Row, is_at_share, models_of, title
from .page import NONE, markdown

SURE = 2.0
"""Standard errors by which a pair has to be ahead to be nearer."""
METHOD = (
    "In the evaluations that run, another method of the pack leaves out more, so that more of them "
    "run at the same FLOPs. As forecast.json, on its captions: of the speeds of Step Cache and the "
    "settings of the other method that come within a twentieth of the wanted share, and of which "
    "both leave something out, the pair that is nearest to the plain pictures on captions of the "
    "training set. behind: PSNR of Step Cache alone at the speed less that of the pair, picture by "
    "picture, with the standard error."
)


def is_pair(row: Row) -> bool:
    """Whether a row is of Step Cache with another method."""
    return row["method"].startswith(PAIRED)


def page_of(found: Mapping[str, Any]) -> str:
    """The whole page."""
    parts = [
        "# Step Cache with another method inside it",
        "Written by `python -m benchmarks forecast` from the JSON file beside it.",
        found["method"],
        "\n".join(f"* {sentence}" for sentence in verdicts(found)),
    ]
    parts += [part for model in models_of(found) for part in _model(Results(found, model), model)]
    return "\n\n".join(parts) + "\n"


def verdicts(found: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for every model and speed: whether a pair is nearer than Step Cache alone."""
    for model in models_of(found):
        results = Results(found, model)
        for speed in results.speeds:
            rows = [row for row in results.at(speed) if is_at_share(row)]
            place = f"{title(model)}, {speed:g}×"
            if not rows:
                yield f"{place}: no pair comes near this share."
                continue
            best = min(rows, key=lambda row: row["behind"]["mean"])
            ahead, error = -best["behind"]["mean"], best["behind"]["error"] or 0.0
            told = f"{best['method'].removeprefix(PAIRED)} {ahead:+.1f} ±{error:.1f} dB"
            if ahead > SURE * error:
                yield f"{place}: nearer with {told}."
            elif ahead < -SURE * error:
                yield f"{place}: {OURS} alone is nearer; with {told}."
            else:
                yield f"{place}: no pair is surely nearer; with {told}."


def _model(results: Results, model: str) -> Iterator[str]:
    yield f"## {title(model)}"
    for words, cell in (
        ("PSNR to the plain picture, dB", decibels),
        (f"{OURS} alone ahead on the same captions, dB", lead),
        ("Share of the FLOPs", share),
        ("Captions", lambda row: str(row["captions"])),
    ):
        yield f"{words}\n\n{_table(results, cell)}"
    rows = [row for speed in results.speeds for row in results.at(speed)]
    settings = [f"* {row['speed']:g}×, {row['method']}: {row['parameters']}" for row in rows]
    yield "Settings\n\n" + "\n".join(settings)


def _table(results: Results, cell: Callable[[Row], str]) -> str:
    names = dict.fromkeys(row["method"] for row in results.rows)
    lines = [
        [name, *(cell(row) if row else NONE for row in _across(results, name))] for name in names
    ]
    return markdown(["", *(f"{speed:g}×" for speed in results.speeds)], lines)


def _across(results: Results, name: str) -> list[Row | None]:
    return [results.row(name, speed) for speed in results.speeds]
