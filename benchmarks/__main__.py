"""What is timed or scored: programs with a `--help` each. See README.md beside this file."""

from __future__ import annotations

import argparse
import importlib
import sys

from .record import BenchmarkError

PROGRAMS = {
    "run": "measure the cells of the matrix that its result file lacks",
    "page": "write a result file of the matrix as a Markdown page",
    "compare": "what changed from one result file of the matrix to another",
    "arithmetic": "full width against the arithmetic that is saved",
    "quality": "what a cache breaks, and how fast it is",
    "quality_calibrated": "whether a speed that was wished for is reached, and at what loss",
    "predicted": "predicted beside measured speedups",
    "int8_quality": "what int8 changes in pictures",
    "forecast": "Step Cache beside everything that could be done instead",
    "forecast_samplers": "Step Cache with every sampler and scheduler",
    "forecast_predicted": "predicted beside measured errors of Step Cache",
    "served": "what calibrating costs in a real server",
    "strip_cost": "what the strips cost the browser",
    "strip_answers": "how soon a strip follows a slider",
    "promised": "whether following Speed Audit brings what it promised",
    "compiling": "the first run of Regional Compile, and how fast it is then",
    "gpu": "full-size models on a GPU",
    "tables": "write the tables of README.md and docs/ from the result files",
    "plot": "draw three tables as pictures",
}
"""Modules with a function `main`, which gets the words behind the name; and what each is for."""
REFUSED = 2
INTERRUPTED = 130
"""Exit statuses, as shells have them."""


def main(given: list[str]) -> int:
    """Run one program. Returns the exit status."""
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    programs = parser.add_subparsers(dest="program", required=True, metavar="program")
    for name, words in PROGRAMS.items():
        programs.add_parser(name, help=words)
    name = parser.parse_args(given[:1]).program
    try:
        return importlib.import_module(f"{__package__}.{name}").main(given[1:]) or 0
    except BenchmarkError as error:
        print(error, file=sys.stderr)
        return REFUSED
    except KeyboardInterrupt:
        print("\nInterrupted. What was finished is kept: the same command goes on from there.")
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
