"""Writes what tests/reference/fixtures holds: what references did. Needs them, but no ComfyUI."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import paths

import freeze
import freeze_calibration


@dataclass(frozen=True)
class Options:
    """The command line; each as its help says."""

    calibrator: Path | None


def main() -> None:
    """Write the runs of all references, or what SmoothCache's calibrator does."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--calibrator", type=Path, metavar="DIR",
        help="only what SmoothCache's does: a checkout of Roblox/SmoothCache at edeb4ed",
    )  # fmt: skip
    arguments = Options(**vars(parser.parse_args()))
    if arguments.calibrator is None:
        freeze.write()
    else:
        freeze_calibration.write(arguments.calibrator)


if __name__ == "__main__":
    main()
