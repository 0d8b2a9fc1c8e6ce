"""Measures the cells of a matrix that its result file lacks."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from . import matrix
from .record import BenchmarkError, Record, file_of


@dataclass(frozen=True)
class Options:
    """The command line; each as its help says."""

    matrix: str
    only: str
    pairs: int
    out: Path | None
    fresh: bool
    list: bool
    allow_cpu: bool


def main(given: list[str]) -> None:
    """Measure, or name the cells.

    Raises:
        BenchmarkError: there is no such cell, or the full matrix would run on a processor.
    """
    arguments = _options(given)
    chosen = [cell for cell in matrix.cells(arguments.matrix) if arguments.only in cell.key]
    if arguments.list:
        print("\n".join(cell.key for cell in chosen))
        return
    if not chosen:
        raise BenchmarkError(f"--only {arguments.only!r} leaves no cell; --list shows them")
    import booted_on_device

    from . import running

    if arguments.matrix == "full" and not running.has_cuda() and not arguments.allow_cpu:
        raise BenchmarkError(
            "The full matrix is for a CUDA device, and there is none here; on a processor a cell "
            "takes hours or days. Run it on such a machine, take --matrix reference, or say "
            "--allow-cpu if you mean it"
        )
    out = arguments.out or file_of(arguments.matrix)
    if arguments.fresh:
        out.unlink(missing_ok=True)
    record = Record(out, arguments.matrix, running.conditions())
    running.run(chosen, record, arguments.pairs)


def count(text: str) -> int:
    """The type of an option that is a number of something."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("expected 1 or more")
    return number


def _options(given: list[str]) -> Options:
    parser = argparse.ArgumentParser("python -m benchmarks run", description=__doc__)
    parser.add_argument("--matrix", choices=matrix.MATRICES, default="reference")
    parser.add_argument("--only", default="", metavar="TEXT", help="cells with this in their name")
    parser.add_argument("--pairs", type=count, default=3, help="timed pairs a cell (default 3)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the result file")
    parser.add_argument("--fresh", action="store_true", help="delete the result file first")
    parser.add_argument("--list", action="store_true", help="name the cells and measure nothing")
    parser.add_argument("--allow-cpu", action="store_true", help="the full matrix without CUDA")
    return Options(**vars(parser.parse_args(given)))
