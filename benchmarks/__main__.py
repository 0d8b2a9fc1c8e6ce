"""The commands of `python -m benchmarks`. See README.md beside this file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from . import compare, matrix, page, tables
from .record import BenchmarkError, Record

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
PROJECT = HERE.parent
OptionsT = TypeVar("OptionsT")
REFUSED = 2
INTERRUPTED = 130
"""Exit statuses, as shells have them."""


def main(given: list[str] | None = None) -> int:
    """Run one command. Returns the exit status."""
    options = vars(_parser().parse_args(given))
    command: Callable[[dict[str, Any]], int] = options.pop("command")
    try:
        return command(options)
    except BenchmarkError as error:
        print(error, file=sys.stderr)
        return REFUSED
    except KeyboardInterrupt:
        print("\nInterrupted. What was finished is kept: the same command goes on from there.")
        return INTERRUPTED


@dataclass(frozen=True)
class RunOptions:
    """What can be told to `run`; each as its help says."""

    matrix: str
    only: str
    pairs: int
    out: Path | None
    fresh: bool
    list: bool
    allow_cpu: bool


def _run(arguments: RunOptions) -> int:
    chosen = [cell for cell in matrix.cells(arguments.matrix) if arguments.only in cell.key]
    if arguments.list:
        print("\n".join(cell.key for cell in chosen))
        return 0
    if not chosen:
        print(f"--only {arguments.only!r} leaves no cell; --list shows them", file=sys.stderr)
        return REFUSED
    _boot()
    from . import running

    if arguments.matrix == "full" and not running.has_cuda() and not arguments.allow_cpu:
        print(
            "The full matrix is for a CUDA device, and there is none here; on a processor a cell "
            "takes hours or days. Run it on such a machine, take --matrix reference, or say "
            "--allow-cpu if you mean it",
            file=sys.stderr,
        )
        return REFUSED
    out = arguments.out or _file_of(arguments.matrix)
    if arguments.fresh:
        out.unlink(missing_ok=True)
    record = Record(out, arguments.matrix, running.conditions())
    running.run(chosen, record, arguments.pairs)
    return 0


@dataclass(frozen=True)
class ArithmeticOptions:
    """What can be told to `arithmetic`."""

    names: list[str]
    pairs: int | None
    tiny: bool


def _arithmetic(arguments: ArithmeticOptions) -> int:
    _boot()
    from . import arithmetic

    names = arguments.names or list(arithmetic.BENCHMARKS)
    arithmetic.run(names, arguments.pairs, arguments.tiny)
    return 0


@dataclass(frozen=True)
class PageOptions:
    """What can be told to `page`."""

    file: Path | None
    out: Path | None


def _page(arguments: PageOptions) -> int:
    source = arguments.file or _file_of("reference")
    out = arguments.out or source.with_suffix(".md")
    out.write_text(page.page_of(Record.read(source)), encoding="utf-8")
    print(f"wrote {out}")
    return 0


@dataclass(frozen=True)
class CompareOptions:
    """What can be told to `compare`."""

    first: Path
    second: Path


def _compare(arguments: CompareOptions) -> int:
    first, second = (Record.read(path) for path in (arguments.first, arguments.second))
    print(compare.text_of(first, second))
    return 0


@dataclass(frozen=True)
class TablesOptions:
    """What can be told to `tables`."""

    check: bool


def _tables(arguments: TablesOptions) -> int:
    stale = tables.update(PROJECT, RESULTS, may_write=not arguments.check)
    for path in stale:
        what = "differs from the results: run python -m benchmarks tables"
        print(f"{path.relative_to(PROJECT)} {what if arguments.check else 'written'}")
    return 1 if stale and arguments.check else 0


def _boot() -> None:
    """A genuine ComfyUI in this process, with its options as when it starts."""
    sys.path.insert(0, str(PROJECT / "tests" / "support"))
    import host
    import pack

    pack.load()
    host.boot(cpu=False)


def _file_of(name: str) -> Path:
    return RESULTS / ("matrix.json" if name == "reference" else f"matrix_{name}.json")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")

    def add(
        command: Callable[[OptionsT], int], options: type[OptionsT], words: str
    ) -> argparse.ArgumentParser:
        name = command.__name__.removeprefix("_")
        made = commands.add_parser(name, help=words, description=words)
        made.set_defaults(command=lambda given: command(options(**given)))
        return made

    run = add(_run, RunOptions, "measure the cells that the result file lacks")
    run.add_argument("--matrix", choices=matrix.MATRICES, default="reference")
    run.add_argument("--only", default="", metavar="TEXT", help="cells with this in their name")
    run.add_argument("--pairs", type=_count, default=3, help="timed pairs a cell (default 3)")
    run.add_argument("--out", type=Path, metavar="FILE", help="the result file")
    run.add_argument("--fresh", action="store_true", help="delete the result file first")
    run.add_argument("--list", action="store_true", help="name the cells and measure nothing")
    run.add_argument("--allow-cpu", action="store_true", help="the full matrix without CUDA")
    arithmetic = add(
        _arithmetic, ArithmeticOptions, "full width against the arithmetic that is saved"
    )
    arithmetic.add_argument("names", nargs="*", metavar="name", help="default: all")
    arithmetic.add_argument("--pairs", type=_count, help="timed pairs a row")
    arithmetic.add_argument("--tiny", action="store_true", help="try the code on tiny networks")
    shown = add(_page, PageOptions, "write a result file as a Markdown page")
    shown.add_argument("file", nargs="?", type=Path, help="default: the reference matrix")
    shown.add_argument("--out", type=Path, metavar="FILE")
    compared = add(_compare, CompareOptions, "what changed from one result file to another")
    compared.add_argument("first", type=Path)
    compared.add_argument("second", type=Path)
    written = add(
        _tables, TablesOptions, "write the tables of README.md and docs/ from the result files"
    )
    written.add_argument("--check", action="store_true", help="write nothing; fail if one differs")
    return parser


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError("expected 1 or more")
    return count


if __name__ == "__main__":
    sys.exit(main())
