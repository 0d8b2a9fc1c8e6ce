"""Cells of the benchmark matrix as if they had been measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks import matrix
from benchmarks.record import Record

CONDITIONS = {"device": "CPU", "processor": "a processor", "torch": "2.0", "code": "abc"}


def speedup(median: float, spread: float = 0.1, pairs: int = 3) -> dict[str, Any]:
    return {
        "median": median, "lowest": median - spread, "highest": median + spread, "pairs": pairs,
        "plain_seconds": 2.0, "patched_seconds": 2.0 / median, "first_seconds": 3.5,
    }  # fmt: skip


def row(cell: matrix.Cell, median: float = 1.0, **more: Any) -> dict[str, Any]:
    """As running.py writes it."""
    return {
        "model": cell.name, "title": cell.model.title, "size": str(cell.size),
        "batch": cell.batch, "steps": cell.model.steps, "row": cell.row,
        "parts": list(cell.parts), "speedup": speedup(median), "is_bit_identical": True,
        "greatest_difference": 0.0, **more,
    }  # fmt: skip


def measured_matrix(folder: Path) -> Record:
    """The reference matrix in a file; the n-th cell has the speed 1 + n / 100."""
    made = Record(folder / "matrix.json", "reference", CONDITIONS)
    *cells, last = matrix.cells("reference")
    made.cells = {cell.key: row(cell, 1 + n / 100) for n, cell in enumerate(cells)}
    made.add(last.key, row(last))
    return made
