"""Writes calibrations/*.json, those of the demo's models: `python scripts/calibrate_reference.py`.

Needs the environment of `python scripts/test.py`. On a quiet machine: shares of time are measured.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product

import booted_on_cpu
from paths import ROOT

from stepcache.cache_core.calibration.file import write
from stepcache.cache_core.version import VERSION

from demo import calibrate, evaluate
from demo.reference import REFERENCES

FOLDER = ROOT / "calibrations"
STEPS = (20, 30, 50)


@dataclass(frozen=True)
class Options:
    """The command line; each as its help says."""

    models: Iterable[str]
    steps: Sequence[int]


def main() -> int:
    """Measure and write every file. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", choices=evaluate.DEFAULTS, default=evaluate.DEFAULTS)
    parser.add_argument("--steps", nargs="+", type=int, default=STEPS, help="of each run")
    arguments = Options(**vars(parser.parse_args()))
    FOLDER.mkdir(exist_ok=True)
    for name, steps in product(arguments.models, arguments.steps):
        options = evaluate.sampling_of(name, steps)
        found = calibrate.calibrated(evaluate.load_model(options), options)
        label = REFERENCES[name].file.replace("_", " ")
        path = FOLDER / f"{label}, {steps} steps.json"
        write(path, replace(found, tool=VERSION))
        print(f"wrote {path.relative_to(ROOT)}: {found.samples} captions", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
