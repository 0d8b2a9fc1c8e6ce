"""Runs the checks and tests: `python scripts/test.py`, or with `--fast` those without a host.

Needs CPython 3.10 or newer and nothing else; sets up its own environment and ComfyUI.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from setup.prepare import Runtime

HOST_TESTS = ("tests/comfy", "tests/contract", "tests/reference")


def main() -> int:
    """Set up, check, test. Returns the exit status."""
    if sys.hexversion < 0x030A0000:
        print(f"This is Python {sys.version.split()[0]}; use CPython 3.10 or newer.")
        return 2
    from setup.errors import StepError
    from setup.prepare import prepare_all_tests, prepare_fast_tests

    options = _options()
    try:
        runtime = prepare_fast_tests() if options.fast else prepare_all_tests(options.comfyui)
        return _check_and_test(runtime, options)
    except StepError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fast", action="store_true", help="only what needs no ComfyUI")
    parser.add_argument(
        "--comfyui", type=Path, metavar="DIR", help="use this ComfyUI and its Python"
    )
    parser.add_argument("pytest", nargs="*", help="arguments for pytest, after --")
    return parser.parse_args()


def _check_and_test(runtime: Runtime, options: argparse.Namespace) -> int:
    """Run every tool, also after one has failed; the last line is pytest's own, with its counts."""
    from setup.layout import ROOT

    python = str(runtime.python)
    variables = dict(os.environ)
    if runtime.comfyui is not None:
        variables["COMFYUI_PATH"] = str(runtime.comfyui)
    if runtime.tools is not None:
        paths = [str(runtime.tools), variables.get("PYTHONPATH", "")]
        variables["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    selection = [f"--ignore={folder}" for folder in HOST_TESTS] if options.fast else []
    commands = {
        "ruff": ["ruff", "check", "."],
        "ruff format": ["ruff", "format", "--check", "."],
        "basedpyright": ["basedpyright", "--pythonpath", python],
        "pytest": ["pytest", "-q", *selection, *options.pytest],
    }
    failed: list[str] = []
    for name, command in commands.items():
        print(f"== {name}", flush=True)
        done = subprocess.run([python, "-m", *command], cwd=ROOT, env=variables)
        if done.returncode:
            failed.append(name)
        if done.returncode and name != "pytest":
            print(f"== {name} FAILED (exit status {done.returncode})", file=sys.stderr, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
