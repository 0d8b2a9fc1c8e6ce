"""Loads the pack and marks the tests that need a host."""

from __future__ import annotations

import gc
import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pack

import pytest
from cells import Cells, cell_of

TESTS = Path(__file__).resolve().parent
HOST_FOLDERS = {"comfy", "commands", "contract", "web"}

# For PyTorch in here and in all that tests start: processes that together have more threads than
# there are cores wait for one another. Half of the tests in the browser took twice as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")

CELLS = Cells()
SECONDS: Counter[str] = Counter()
"""What the tests of each folder took, in all processes together."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """As `--dist loadfile`, but any process may run the next command: each is a program."""
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return nodeid if nodeid.startswith("tests/commands/") else super()._split_scope(nodeid)

    return ByFile(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest tests come first. Those in host folders are marked, so that `--fast` can leave
    them out."""
    items.sort(key=lambda item: item.path.parent.name != "commands")
    for item in items:
        folder = item.path.relative_to(TESTS).parts[0]
        if folder in HOST_FOLDERS:
            item.add_marker(pytest.mark.comfy)
        elif folder == "reference":
            item.add_marker(pytest.mark.reference)


def pytest_collection_finish() -> None:
    """Leave what is imported out of every collection of garbage, as `pytest_runtest_teardown`."""
    gc.freeze()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Leave what a module has left behind out of every collection of garbage.

    ComfyUI starts one before each run as long as its list of loaded models has one that has lost
    its patcher: with all that compilers and networks keep, nine tenths of a worker's time. So that
    one is taken off the list too.
    """
    host = sys.modules.get("comfy.model_management")
    if host is not None:
        host.current_loaded_models[:] = [m for m in host.current_loaded_models if m.model]
    if nextitem is None or nextitem.path != item.path:
        gc.collect()
        gc.freeze()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[Any]:
    """Mark what a law shows about a family and a method; the report may be another process's."""
    outcome: Any = yield
    report = outcome.get_result()
    callspec = getattr(item, "callspec", None)
    if item.path.name == "test_laws.py" and report.when == "call" and callspec is not None:
        report.user_properties += cell_of(callspec.params)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Collect what the laws show."""
    SECONDS[report.nodeid.split("/")[1]] += report.duration
    if not report.skipped:
        CELLS.add(report.user_properties, report.passed)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Show what each folder took, and the table of families and methods."""
    took = ", ".join(f"{folder} {seconds:.0f}" for folder, seconds in sorted(SECONDS.items()))
    terminalreporter.write_line(f"seconds, all workers together: {took}")
    lines = CELLS.lines()
    if lines:
        terminalreporter.section("families and methods: every law, or a refusal in words")
        for line in lines:
            terminalreporter.write_line(line)
