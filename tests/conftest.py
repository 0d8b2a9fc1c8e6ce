"""Loads the pack and marks the tests that need a host."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).resolve().parent
HOST_FOLDERS = {"comfy", "contract"}

sys.path.insert(0, str(TESTS / "support"))

import pack  # noqa: E402
from cells import Cells  # noqa: E402

pack.load()
CELLS = pytest.StashKey[Cells]()


def pytest_configure(config: pytest.Config) -> None:
    """A place for what the laws show."""
    config.stash[CELLS] = Cells()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests in host folders are marked, so that `--fast` can leave them out."""
    for item in items:
        folder = item.path.relative_to(TESTS).parts[0]
        if folder in HOST_FOLDERS:
            item.add_marker(pytest.mark.comfy)
        elif folder == "reference":
            item.add_marker(pytest.mark.reference)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[Any]:
    """Collect what the laws show for every family and method."""
    outcome: Any = yield
    report = outcome.get_result()
    if item.path.name == "test_laws.py" and report.when == "call" and not report.skipped:
        callspec = getattr(item, "callspec", None)
        if callspec is not None:
            item.config.stash[CELLS].add(callspec.params, report.passed)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Show the table of families and methods."""
    lines = config.stash[CELLS].lines()
    if lines:
        terminalreporter.section("families and methods: every law, or a refusal in words")
        for line in lines:
            terminalreporter.write_line(line)
