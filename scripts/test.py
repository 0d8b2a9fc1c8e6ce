"""Runs the checks and tests: `python scripts/test.py`, or with `--fast` those without a host.

`--comfyui-version 0.16.3` runs the tests inside that ComfyUI only, `--comfyui-git URL@TAG` inside
one from git; the checks do not depend on it.
Needs CPython 3.10 or newer and nothing else; sets up its own environment and ComfyUI.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from setup.prepare import Runtime

IN_COMFYUI = ("tests/comfy", "tests/contract")
HOST_TESTS = (*IN_COMFYUI, "tests/commands", "tests/reference", "tests/web")
PROCESSES = min((os.cpu_count() or 1) + 1, 4)
"""One more than cores, because tests in the browser wait; each holds a ComfyUI and the tiny models,
some 1.5 GB."""
IN_PARALLEL = ("-n", str(PROCESSES), "--dist", "loadfile", "--no-loadscope-reorder")
"""A file stays in one process, which draws what its tests compare with once; and the order stays,
in which the few long tests come first."""
TYPED_WITHOUT_HOST = (
    "cache_core/*.py", "cache_core/approximators", "cache_core/calibration", "cache_core/methods",
    "scripts/demonstration", "scripts/setup", "scripts/demo.py", "scripts/test.py",
)  # fmt: skip
"""What the type checker understands where there is no ComfyUI."""
RAN_TO_THE_END = (0, 1)
"""pytest's exit statuses when every test had its turn."""


@dataclass(frozen=True)
class Options:
    """The command line; each as its help says."""

    fast: bool
    comfyui: Path | None
    comfyui_version: str | None
    comfyui_git: str | None
    record: bool
    pytest: list[str]


def main() -> int:
    """Set up, check, test. Returns the exit status."""
    if sys.hexversion < 0x030A0000:
        print(f"This is Python {sys.version.split()[0]}; use CPython 3.10 or newer.")
        return 2
    from setup.prepare import (
        prepare_all_tests,
        prepare_fast_tests,
        prepare_git_tests,
        prepare_host_tests,
    )
    from setup.start import INTERRUPTED, set_up

    options = _options()
    try:
        if options.comfyui_version is not None:
            version = options.comfyui_version
            runtime = set_up(partial(prepare_host_tests, version))
            return _test_in_comfyui(runtime, version, options)
        if options.comfyui_git is not None:
            runtime = set_up(partial(prepare_git_tests, options.comfyui_git))
            return _test_in_comfyui(runtime, None, options)
        all_tests = partial(prepare_all_tests, options.comfyui)
        runtime = set_up(prepare_fast_tests if options.fast else all_tests)
        return _check_and_test(runtime, options)
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return INTERRUPTED


def _options() -> Options:
    parser = argparse.ArgumentParser(description=__doc__)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--fast", action="store_true", help="only what needs no ComfyUI")
    which.add_argument(
        "--comfyui", type=Path, metavar="DIR", help="use this ComfyUI and its Python"
    )
    which.add_argument(
        "--comfyui-version", metavar="X", help="only what runs inside ComfyUI, in version X"
    )
    which.add_argument(
        "--comfyui-git", metavar="SOURCE[@REVISION]",
        help="only what runs inside ComfyUI, in one from git: URL or folder, and tag or commit",
    )  # fmt: skip
    parser.add_argument(
        "--record", action="store_true", help="with --comfyui-version: write docs/hosts.md"
    )
    parser.add_argument("pytest", nargs="*", help="arguments for pytest, after --")
    options = Options(**vars(parser.parse_args()))
    if options.record and options.comfyui_version is None:
        parser.error("--record writes the row of one version: add --comfyui-version X")
    if options.record and options.pytest:
        parser.error("--record needs every test: leave the arguments after -- away")
    return options


def _test_in_comfyui(runtime: Runtime, version: str | None, options: Options) -> int:
    """Run what runs inside one ComfyUI; record what a known version showed, if asked to."""
    import host_table

    with tempfile.TemporaryDirectory() as folder:
        junit = Path(folder) / "junit.xml"
        command = [
            "pytest",
            "-q",
            *IN_PARALLEL,
            *IN_COMFYUI,
            f"--junitxml={junit}",
            *options.pytest,
        ]
        status = _run(command, runtime)
        if options.record and version is not None and status in RAN_TO_THE_END:
            host_table.record(version, host_table.outcome_of(junit, date.today()))
        elif options.record:
            print("nothing is recorded: the tests did not run to the end", file=sys.stderr)
    return status


def _check_and_test(runtime: Runtime, options: Options) -> int:
    """Run every tool, also after one has failed; the last line is pytest's own, with its counts."""
    from setup.type_paths import link_type_paths

    link_type_paths(runtime.comfyui)
    typed = () if runtime.comfyui is not None else TYPED_WITHOUT_HOST
    selection = [f"--ignore={folder}" for folder in HOST_TESTS] if options.fast else []
    commands = {
        "ruff": ["ruff", "check", "."],
        "ruff format": ["ruff", "format", "--check", "."],
        "basedpyright": ["basedpyright", "--pythonpath", str(runtime.python), *typed],
        "pytest": ["pytest", "-q", *IN_PARALLEL, *selection, *options.pytest],
    }
    failed: list[str] = []
    for name, command in commands.items():
        print(f"== {name}", flush=True)
        status = _run(command, runtime)
        if status:
            failed.append(name)
        # A pytest that was ended from outside has no last line: then it is told here.
        if status and (name != "pytest" or status < 0):
            print(f"== {name} FAILED (exit status {status})", file=sys.stderr, flush=True)
    return 1 if failed else 0


def _run(command: list[str], runtime: Runtime) -> int:
    """Run a module of the prepared Python in the root of the checkout; its exit status."""
    from setup.layout import ROOT

    variables = dict(os.environ)
    if runtime.comfyui is not None:
        variables["COMFYUI_PATH"] = str(runtime.comfyui)
    if runtime.tools is not None:
        paths = [str(runtime.tools), variables.get("PYTHONPATH", "")]
        variables["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    return subprocess.run([str(runtime.python), "-m", *command], cwd=ROOT, env=variables).returncode


if __name__ == "__main__":
    sys.exit(main())
