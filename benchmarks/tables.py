"""The tables of README.md and docs/, made of files of results. Needs Python alone.

Each stands between two comments, `<!-- table NAME: begin -->` and `<!-- table NAME: end -->`.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pack import ROOT

from . import RESULTS, matrix, readme_tables
from .page import markdown
from .record import BenchmarkError, Record

FILES: dict[str, tuple[str, ...]] = {
    "README.md": ("forecast",),
    "docs/measured.md": ("demo", "arithmetic", "defaults", "advised", "settings"),
    "docs/methods.md": ("defaults",),
    "docs/recipes.md": ("recipe sdxl_small", "recipe flux_small", "recipe wan_small"),
}
"""The files, and the tables that each has to hold."""
BLOCK = re.compile(
    r"(?P<begin><!-- table (?P<name>[\w ]+): begin -->\n)"
    r".*?(?P<end><!-- table (?P=name): end -->)",
    re.DOTALL,
)
TO_MEASURE = "Not measured yet: `python -m benchmarks run`, then `python -m benchmarks tables`."


@dataclass(frozen=True)
class Options:
    """The command line; each as its help says."""

    check: bool


def main(given: list[str]) -> int:
    """Write, or only compare; 1 if a file differs then."""
    parser = argparse.ArgumentParser("python -m benchmarks tables", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if one differs")
    only_checks = Options(**vars(parser.parse_args(given))).check
    stale = update(ROOT, RESULTS, may_write=not only_checks)
    for path in stale:
        what = "differs from the results: run python -m benchmarks tables"
        print(f"{path.relative_to(ROOT)} {what if only_checks else 'written'}")
    return int(bool(stale) and only_checks)


def update(project: Path, results: Path, may_write: bool) -> list[Path]:
    """Bring the tables up to date.

    Args:
        project: folder of the files.
        results: folder of the files of results.
        may_write: otherwise nothing is written.

    Returns:
        The files that were not up to date.

    Raises:
        BenchmarkError: a file lacks the place of a table, or results lack what a table shows.
    """
    stale: list[Path] = []
    for name, wanted in FILES.items():
        path = project / name
        text = path.read_text(encoding="utf-8")
        now = updated(text, wanted, results)
        if now != text:
            stale.append(path)
            if may_write:
                path.write_text(now, encoding="utf-8")
    return stale


def updated(text: str, wanted: Iterable[str], results: Path) -> str:
    """A text with its tables as the results have them today."""
    found = [match["name"] for match in BLOCK.finditer(text)]
    if sorted(found) != sorted(wanted):
        raise BenchmarkError(
            f"found places for the tables {', '.join(found) or 'none'}; expected "
            f"{', '.join(wanted)}, each between <!-- table NAME: begin --> and the same with end"
        )
    return BLOCK.sub(lambda m: f"{m['begin']}{table(m['name'], results)}\n{m['end']}", text)


def table(name: str, results: Path) -> str:
    """One table.

    Raises:
        BenchmarkError: the results lack what it shows.
    """
    kind, _, model = name.partition(" ")
    try:
        return _recipe(model, results) if kind == "recipe" else TABLES[kind](results)
    except LookupError as error:
        raise BenchmarkError(
            f"the table {name}: {results} lacks {error}; measure that once more"
        ) from error


def _settings(results: Path) -> str:
    """Models down, settings across, alone."""
    record = _matrix(results)
    if record is None:
        return TO_MEASURE
    head = ["model", *matrix.SETTINGS]
    lines: list[list[str]] = []
    for cell in _firsts():
        found = [record.cells.get(_key(cell, (name,))) for name in matrix.SETTINGS]
        lines.append([f"{cell.model.title}, {cell.size}", *map(_speed, found)])
    return markdown(head, lines)


def _recipe(model: str, results: Path) -> str:
    """One part more in every line, and what it gained over the line above."""
    record = _matrix(results)
    if record is None:
        return TO_MEASURE
    (cell,) = (each for each in _firsts() if each.name == model)
    lines: list[list[str]] = []
    earlier, before = (), 1.0
    for parts in matrix.stack(cell.model.recipe):
        row = record.cells[_key(cell, parts)]
        added = " + ".join(parts[len(earlier) :])
        if "refused" in row:
            lines.append([f"+ {added}", "refused", "", "", ""])
            continue
        speedup = row["speedup"]
        spread = f"{speedup['lowest']:.2f} to {speedup['highest']:.2f}"
        apart = "0" if row["is_bit_identical"] else f"{row['greatest_difference']:.1e}"
        gained = f"{speedup['median'] / before:.2f}×"
        lines.append([f"+ {added}", _speed(row), spread, gained, apart])
        earlier, before = parts, speedup["median"]
    head = ("part", "speed of all so far", "range", "gained by this part", "apart from plain")
    device = record.conditions["processor" if record.conditions["device"] == "CPU" else "device"]
    return (
        f"{cell.model.title[0].upper()}{cell.model.title[1:]}, {cell.size}, {cell.model.steps} "
        f"steps, on {device}:\n\n{markdown(head, lines)}"
    )


TABLES: dict[str, Callable[[Path], str]] = {
    "forecast": readme_tables.forecast,
    "demo": readme_tables.demo,
    "arithmetic": readme_tables.arithmetic,
    "defaults": readme_tables.defaults,
    "advised": readme_tables.advised,
    "settings": _settings,
}


def _firsts() -> Iterator[matrix.Cell]:
    """A cell of each model of the reference matrix, plain and at its first size."""
    for name, model in matrix.REFERENCE.items():
        size, batch = model.points[0]
        yield matrix.Cell(name, model, size, batch, ())


def _key(cell: matrix.Cell, parts: tuple[str, ...]) -> str:
    return matrix.Cell(cell.name, cell.model, cell.size, cell.batch, parts).key


def _speed(row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    return "refused" if "refused" in row else f"{row['speedup']['median']:.2f}×"


def _matrix(results: Path) -> Record | None:
    path = results / "matrix.json"
    return Record.read(path) if path.exists() else None
