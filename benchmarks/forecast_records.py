"""The table of all records of `forecast.py`. Needs no ComfyUI."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .quality_records import Record, read_json, speedup_of

OURS = "Step Cache"
Place = tuple[str, str, int, float]
"""Model, sampler, seed and speed."""


def records_of(work: Path) -> list[Record]:
    """Every record in the work folder."""
    paths = sorted(work.glob("*/*/records/*.json"))
    return [Record(path, read_json(path)["what"]) for path in paths]


def rows_of(work: Path) -> list[dict[str, Any]]:
    """A line for every record: rates, means, and how far behind Step Cache it is."""
    records = records_of(work)
    plain = {_subject(r): r for r in records if r.what["method"] == "plain"}
    scored = [r for r in records if r.what["method"] != "plain"]
    leading = {_place(r): _psnr(r) for r in scored if r.what["method"] == OURS}
    rows = [record.row() for record in plain.values()]
    for record in scored:
        row = record.row(plain[_subject(record)])
        shares = [batch["share"] for batch in record.batches]
        row["share"] = {
            "mean": round(statistics.fmean(shares), 4),
            "lowest": round(min(shares), 4),
            "highest": round(max(shares), 4),
        }
        row["psnr_error"] = _error(list(_psnr(record).values()))
        if record.what["method"] != OURS and _place(record) in leading:
            row["behind"] = _behind(_psnr(record), leading[_place(record)])
        pairs = read_json(timed_path(record))
        if pairs:
            row["speedup"] = speedup_of([plain / own for plain, own in pairs])
        rows.append(row)
    for row in rows:
        # FLOPs were counted meanwhile; what is compared in time is timed apart.
        del row["seconds_per_picture"]
    return rows


def timed_path(record: Record) -> Path:
    """The file of a record's timed pairs: plain and own seconds of each."""
    return record.path.parent.parent / "timed" / record.path.name


def chosen_of(work: Path) -> dict[str, dict[str, Any]]:
    """What was chosen on training captions, by sampler and by model and name."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(work.glob("*/chosen/*.json")):
        found.setdefault(path.parent.parent.name, {})[path.stem] = read_json(path)
    return found


def _behind(own: dict[int, float], leading: dict[int, float]) -> dict[str, Any] | None:
    """Step Cache's PSNR less another row's, picture by picture."""
    ahead = [leading[number] - value for number, value in own.items() if number in leading]
    if not ahead:
        return None
    mean = round(statistics.fmean(ahead), 2)
    return {"mean": mean, "error": _error(ahead), "captions": len(ahead)}


def _psnr(record: Record) -> dict[int, float]:
    """By caption; identical pictures have none."""
    return {number: value for number, value in _numbered(record) if value is not None}


def _numbered(record: Record) -> Iterator[tuple[int, float | None]]:
    for batch in record.batches:
        yield from enumerate(batch["psnr"], start=batch["first"])


def _error(values: list[float]) -> float | None:
    """Standard error of a mean."""
    if len(values) < 2:
        return None
    return round(statistics.stdev(values) / len(values) ** 0.5, 2)


def _subject(record: Record) -> tuple[str, str, int]:
    what = record.what
    return what["model"], what["sampler"], what["seed"]


def _place(record: Record) -> Place:
    return (*_subject(record), record.what["speed"])
