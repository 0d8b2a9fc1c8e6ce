"""What changed from one file of results to another. Needs Python alone."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from .page import NONE, markdown
from .record import Record, Row, differences

HEAD = ("cell", "first", "second", "second ÷ first", "range", "verdict")
SAME = "within the spread"
UNKNOWN = "a single pair has no spread"


@dataclass(frozen=True)
class Options:
    """The command line; each as its help says."""

    first: Path
    second: Path


def main(given: list[str]) -> None:
    parser = argparse.ArgumentParser("python -m benchmarks compare", description=__doc__)
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    arguments = Options(**vars(parser.parse_args(given)))
    print(text_of(Record.read(arguments.first), Record.read(arguments.second)))


def text_of(first: Record, second: Record) -> str:
    """Both files cell by cell: ratios of their speedups, and what changed beyond their spread."""
    both = [key for key in first.cells if key in second.cells]
    lines = [_line(key, first.cells[key], second.cells[key]) for key in both]
    changed = [line for line in lines if line[-1] not in (SAME, UNKNOWN)]
    parts = [_conditions(first, second)]
    if lines:
        parts.append(markdown(HEAD, lines))
    parts += [
        f"Only in {record.path}: {key}"
        for record, other in ((first, second), (second, first))
        for key in record.cells
        if key not in other.cells
    ]
    parts.append(
        f"{len(both)} cells in both, {len(changed)} changed"
        + "".join(f"\n* {key}: {verdict}" for key, *_, verdict in changed)
    )
    return "\n\n".join(parts)


def _conditions(first: Record, second: Record) -> str:
    changed = differences(first.conditions, second.conditions)
    if not changed:
        return "Measured under the same conditions."
    return "\n".join(["Measured under other conditions (first → second):", "", *changed])


def _line(key: str, first: Row, second: Row) -> list[str]:
    """A cell of both. A ratio of ratios lies between those of their most extreme pairs."""
    if "refused" in first or "refused" in second:
        told = ["refused" if "refused" in row else _speed(row) for row in (first, second)]
        verdict = SAME if told[0] == told[1] else f"{told[0]} → {told[1]}"
        return [key, *told, NONE, NONE, verdict]
    a, b = first["speedup"], second["speedup"]
    lowest, highest = b["lowest"] / a["highest"], b["highest"] / a["lowest"]
    ratio = b["median"] / a["median"]
    found: list[str] = []
    has_spread = min(a["pairs"], b["pairs"]) > 1
    if has_spread and not lowest <= 1 <= highest:
        found.append(f"{'faster' if ratio > 1 else 'slower'}: {ratio:.3f} × the first speedup")
    if first["is_bit_identical"] != second["is_bit_identical"]:
        found.append("bit-identical now" if second["is_bit_identical"] else "not identical now")
    return [
        key, _speed(first), _speed(second), f"{ratio:.3f}", f"{lowest:.3f} to {highest:.3f}",
        "; ".join(found) or (SAME if has_spread else UNKNOWN),
    ]  # fmt: skip


def _speed(row: Row) -> str:
    return f"{row['speedup']['median']:.3f}×"
