"""A file of results as a Markdown page. Needs Python alone."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from . import matrix
from .record import Record, Row, file_of

NONE = "–"
HEAD = ("attached", "speed", "range (pairs)", "FLOP bound", "apart", "kept MiB", "first run")
EXPLAINED = (
    "*Speed*: plain ÷ patched seconds of whole runs without decoding, in pairs one right after "
    "the other, their order swapped from pair to pair, after a warm-up of each; medians, and the "
    "range of the pairs. *FLOP bound*: arithmetic of all steps computed ÷ arithmetic of those "
    "that the methods run; settings leave it as it is. *Apart*: greatest difference from the "
    "plain latent ÷ its greatest number; 0 is bit-identical. *Kept*: peak of what caches hold. "
    "*First run*: seconds of the patched warm-up, in which things are compiled or copied."
)


@dataclass(frozen=True)
class Options:
    """The command line; each as its help says."""

    file: Path
    out: Path | None


def main(given: list[str]) -> None:
    parser = argparse.ArgumentParser("python -m benchmarks page", description=__doc__)
    parser.add_argument(
        "file", nargs="?", type=Path, default=file_of("reference"),
        help="default: the reference matrix",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, metavar="FILE")
    arguments = Options(**vars(parser.parse_args(given)))
    out = arguments.out or arguments.file.with_suffix(".md")
    out.write_text(page_of(Record.read(arguments.file)), encoding="utf-8")
    print(f"wrote {out}")


def page_of(record: Record) -> str:
    """The page of a file."""
    cells = _in_order(record)
    conditions = [(name, str(value)) for name, value in record.conditions.items()]
    parts = [
        f"# Benchmark matrix: {record.matrix}",
        "Written by `python -m benchmarks page` from the JSON file beside it.",
        markdown(("condition", "value"), conditions),
        EXPLAINED,
    ]
    for (name, title), of_model in groupby(cells, lambda row: (row["model"], row["title"])):
        parts.append(f"## {name}: {title}")
        for point, rows in groupby(of_model, lambda row: (row["size"], row["batch"], row["steps"])):
            parts += _point(*point, list(rows))
    return "\n\n".join(parts) + "\n"


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table."""
    lines = [head, ["---"] * len(head), *rows]
    cells = ([f" {cell} " if cell else " " for cell in line] for line in lines)
    return "\n".join(f"|{'|'.join(line)}|" for line in cells).replace(" --- ", "---")


def _point(size: str, batch: int, steps: int, rows: list[Row]) -> list[str]:
    measured = [row for row in rows if "speedup" in row]
    plain = f", plain {measured[0]['speedup']['plain_seconds']:.2f} s" if measured else ""
    told = [f"* {row['row']}: {line}" for row in rows for line in row.get("told", ())]
    refused = [f"* {row['row']}: refused. {row['refused']}" for row in rows if "refused" in row]
    parts = [
        f"### {size}, {batch} at once, {steps} steps{plain}",
        markdown(HEAD, [_cells(row) for row in measured]),
    ]
    if refused:
        parts.append("\n".join(refused))
    if told:
        # Long, and looked up rather than read.
        lines = "\n".join(told)
        parts.append(f"<details><summary>What the settings told</summary>\n\n{lines}\n\n</details>")
    return parts


def _cells(row: Row) -> list[str]:
    speedup = row["speedup"]
    bound, kept = row.get("flop_bound"), row.get("kept_bytes")
    return [
        row["row"],
        f"{speedup['median']:.2f}×",
        f"{speedup['lowest']:.2f} to {speedup['highest']:.2f} ({speedup['pairs']})",
        NONE if bound is None else f"{bound:.2f}×",
        "0" if row["is_bit_identical"] else f"{row['greatest_difference']:.1e}",
        NONE if kept is None else f"{kept / 2**20:.1f}",
        f"{speedup['first_seconds']:.1f} s",
    ]


def _in_order(record: Record) -> list[Row]:
    """In the order of the matrix, whichever they were measured in; what it lacks now comes last."""
    known = matrix.cells(record.matrix) if record.matrix in matrix.MATRICES else []
    places = {cell.key: place for place, cell in enumerate(known)}
    keys = sorted(record.cells, key=lambda key: (places.get(key, len(places)), key))
    return [record.cells[key] for key in keys]
