"""A file of results: what was measured, and under which conditions. Needs Python alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from setup.stamps import write_atomically

from . import RESULTS

FORMAT = 1
Row = dict[str, Any]


def file_of(matrix: str) -> Path:
    """Where the results of a matrix are."""
    return RESULTS / ("matrix.json" if matrix == "reference" else f"matrix_{matrix}.json")


class BenchmarkError(Exception):
    """What was asked for cannot be done; the message says why, and what to do."""


class Record:
    """The cells of a matrix that are done; the file is replaced whenever one more is.

    Args:
        path: the file; it need not exist.
        matrix: name of the matrix.
        conditions: hardware, versions and whatever else numbers depend on.

    Raises:
        BenchmarkError: the file holds cells that were measured under other conditions.
    """

    def __init__(self, path: Path, matrix: str, conditions: Mapping[str, Any]) -> None:
        self.path, self.matrix, self.conditions = path, matrix, dict(conditions)
        self.cells: dict[str, Row] = {}
        if not path.exists():
            return
        found = Record.read(path)
        changed = differences(
            {"matrix": found.matrix, **found.conditions}, {"matrix": matrix, **self.conditions}
        )
        if changed:
            raise BenchmarkError(
                f"{path} was measured under other conditions, which cannot be mixed: "
                f"{'; '.join(changed)}. Give another --out, or --fresh to start anew"
            )
        self.cells = found.cells

    @classmethod
    def read(cls, path: Path) -> Record:
        """A file as it is.

        Raises:
            BenchmarkError: there is none, or it is none of ours.
        """
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise BenchmarkError(
                f"{path} cannot be read ({error.strerror}); expected a file that "
                f"`python -m benchmarks run` wrote"
            ) from error
        except ValueError as error:
            raise BenchmarkError(
                f"{path} is no JSON ({error}); expected a file of results"
            ) from error
        found = data.get("format") if isinstance(data, dict) else None
        if found != FORMAT:
            raise BenchmarkError(
                f"{path} has format {found}; expected {FORMAT}, as `python -m benchmarks run` "
                f"writes it. Measure anew"
            )
        record = cls.__new__(cls)
        record.path, record.matrix = path, data["matrix"]
        record.conditions, record.cells = data["conditions"], data["cells"]
        return record

    def has(self, key: str, pairs: int) -> bool:
        """Whether a cell is done, with so many pairs or more; a refusal needs none."""
        row = self.cells.get(key)
        return row is not None and row.get("speedup", {"pairs": pairs})["pairs"] >= pairs

    def add(self, key: str, row: Row) -> None:
        """Keep a cell, on disk too: an interrupt leaves the old file or the new one."""
        self.cells[key] = row
        data = {
            "format": FORMAT, "matrix": self.matrix, "conditions": self.conditions,
            "cells": self.cells,
        }  # fmt: skip
        write_atomically(self.path, json.dumps(data, indent=1, ensure_ascii=False) + "\n")


def differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """Which conditions are not the same, as "name: then → now"."""
    names = dict.fromkeys([*first, *second])
    return [
        f"{name}: {first.get(name)} → {second.get(name)}"
        for name in names
        if first.get(name) != second.get(name)
    ]
