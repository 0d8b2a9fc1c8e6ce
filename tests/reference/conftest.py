"""These tests run inside a genuine ComfyUI, and end with a table of what they measured."""

from __future__ import annotations

from collections.abc import Iterator

import host
import pytest
import torch
from parity import Table

host.boot(cpu=True)

TABLE = pytest.StashKey[Table]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[TABLE] = Table()


@pytest.fixture
def table(request: pytest.FixtureRequest) -> Table:
    """Collects what is measured; printed when all tests have run."""
    return request.config.stash[TABLE]


@pytest.fixture(autouse=True)
def _no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    lines = terminalreporter.config.stash[TABLE].lines()
    if lines:
        terminalreporter.section("parity with the authors' code")
        for line in lines:
            terminalreporter.write_line(line)
