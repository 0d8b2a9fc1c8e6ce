"""What `forecast_samplers.py` measured as Markdown: results/forecast_samplers.md.

Needs Python alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from .forecast_results import TITLES, title
from .page import NONE, markdown

AUTO, HELD, FEWER = "auto", "denoised held", "fewer"
"""Step Cache as it is, with the denoised latent held, and fewer steps instead."""
CALLED = {AUTO: "Step Cache", FEWER: "fewer steps"}
Row = Mapping[str, Any]
Found = Mapping[str, Any]


def page_of(found: Found) -> str:
    """The whole page."""
    parts = [
        "# Step Cache with every sampler and scheduler",
        "Written by `python -m benchmarks forecast_samplers` from the JSON file beside it.",
        found["method"],
        f"{found['captions']} pictures a cell. PSNR to the plain picture in dB, *equal* where all "
        "computed; (n broken): so many pictures that the plain run draws right are not.",
    ]
    cells: list[Row] = list(found["cells"].values())
    for model in TITLES:
        rows = [row for row in cells if row["model"] == model]
        if rows:
            parts += _model(model, rows)
    return "\n\n".join(parts) + "\n"


def behind(row: Row) -> float:
    """How far Step Cache lies below the denoised latent held, dB."""
    auto, held = row["settings"][AUTO]["psnr"], row["settings"][HELD]["psnr"]
    return 0.0 if auto is None else held - auto


def broken(row: Row) -> int:
    """Pictures that only the plain run draws right."""
    return row["settings"][AUTO]["broken"]


def _model(model: str, rows: Sequence[Row]) -> Iterator[str]:
    worst = max(rows, key=behind)
    yield f"## {title(model)}"
    yield (
        f"{len(rows)} cells, {sum(map(broken, rows))} of "
        f"{sum(row['plain_right'] for row in rows)} right pictures broken. The cell that lies "
        f"lowest beside *{HELD}* is {worst['sampler']}, {worst['scheduler']}, {worst['steps']} "
        f"steps, CFG {worst['cfg']:g}: {-behind(worst):+.1f} dB."
    )
    yield _table(rows)


def _table(rows: Iterable[Row]) -> str:
    names = (AUTO, HELD, FEWER)
    head = [
        "sampler", "scheduler", "steps", "speed", "CFG", "kind", "run the model",
        *(CALLED.get(name, name) for name in names), "right / plain",
    ]  # fmt: skip
    return markdown(head, [_line(row, names) for row in rows])


def _line(row: Row, names: Iterable[str]) -> list[str]:
    auto = row["settings"][AUTO]
    return [
        row["sampler"], row["scheduler"], str(row["steps"]), f"{row['speed']:.3g}×",
        f"{row['cfg']:g}", row["sort"], f"{auto['computed']} of {auto['evaluations']}",
        *(_likeness(row["settings"].get(name)) for name in names),
        f"{auto['right']} / {row['plain_right']}",
    ]  # fmt: skip


def _likeness(setting: Row | None) -> str:
    if setting is None:
        return NONE
    decibels = "equal" if setting["psnr"] is None else f"{setting['psnr']:.1f}"
    return f"{decibels} ({setting['broken']} broken)" if setting["broken"] else decibels
