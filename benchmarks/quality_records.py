"""One JSON file per scored setting, grown batch by batch, and the table made of them."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from setup.stamps import write_atomically

Batch = dict[str, Any]


def write_json(path: Path, data: Any) -> None:
    """Replace a file in one move, so that an interrupt leaves the old one or the new one."""
    write_atomically(path, json.dumps(data, indent=1, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """The content of a file, or None if there is none."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


class Record:
    """The batches of one setting that are done.

    Args:
        path: the file, made by the first batch.
        what: model, method, label, precision and everything else that a number depends on.

    Raises:
        SystemExit: the file was made under other conditions.
    """

    def __init__(self, path: Path, what: dict[str, Any]) -> None:
        self.path, self.what = path, what
        found = read_json(path)
        self.batches: list[Batch] = found["batches"] if found else []
        if found and found["what"] != what:
            changed = {k: (found["what"].get(k), v) for k, v in what.items()}
            changed = {k: pair for k, pair in changed.items() if pair[0] != pair[1]}
            raise SystemExit(
                f"{path} was made under other conditions (then, now): {changed}. Use the same "
                f"options as then, delete the file, or give another --work folder"
            )

    def find(self, first: int) -> Batch | None:
        """The batch that begins at a caption, if it is done."""
        return next((batch for batch in self.batches if batch["first"] == first), None)

    def add(self, batch: Batch) -> None:
        """Append a batch and save."""
        self.batches.append(batch)
        self.save()

    def save(self) -> None:
        """Save batches that were changed."""
        write_json(self.path, {"what": self.what, "batches": self.batches})

    def row(self, plain: Record | None = None) -> dict[str, Any]:
        """The batches as one line of the table.

        Args:
            plain: the record of the plain model, if this is not that one.
        """
        return {**self.what, **summarise(self.batches, plain.batches if plain else [])}


def summarise(batches: list[Batch], plain: list[Batch]) -> dict[str, Any]:
    """Rates, means and the median speedup of some batches."""
    correct = [one for batch in batches for one in batch["correct"]]
    summary: dict[str, Any] = {
        "captions": len(correct),
        "fully_correct": round(statistics.fmean(correct), 4),
        "seconds_per_picture": round(sum(b["seconds"] for b in batches) / len(correct), 4),
    }
    if not plain:
        return summary
    by_first = {batch["first"]: batch["correct"] for batch in plain}
    before = [one for batch in batches for one in by_first[batch["first"]]]
    alike = [value for batch in batches for value in batch["psnr"] if value is not None]
    ratios = [b["plain_seconds"] / b["seconds"] for b in batches if "plain_seconds" in b]
    summary |= {
        "plain_fully_correct": round(statistics.fmean(before), 4),
        "broken": sum(was and not now for was, now in zip(before, correct, strict=True)),
        "repaired": sum(now and not was for was, now in zip(before, correct, strict=True)),
        "psnr": round(statistics.fmean(alike), 2) if alike else None,
        "identical": len(correct) - len(alike),
        "ssim": round(statistics.fmean(v for batch in batches for v in batch["ssim"]), 4),
    }
    return {**summary, "speedup": speedup_of(ratios)} if ratios else summary


def speedup_of(ratios: Sequence[float]) -> dict[str, float | int]:
    """Plain ÷ own seconds of some pairs."""
    return {
        "median": round(statistics.median(ratios), 4),
        "lowest": round(min(ratios), 4),
        "highest": round(max(ratios), 4),
        "pairs": len(ratios),
    }


def rows_of(folder: Path) -> list[dict[str, Any]]:
    """A line for every record in the work folder, plain runs first."""
    records = [Record(path, read_json(path)["what"]) for path in sorted(folder.glob("*.json"))]
    plain = {_subject(r): r for r in records if r.what["method"] == "plain"}
    rows = [record.row() for record in plain.values()]
    rows += [r.row(plain[_subject(r)]) for r in records if r.what["method"] != "plain"]
    return rows


def _subject(record: Record) -> tuple[str, str]:
    return record.what["model"], record.what["precision"]
