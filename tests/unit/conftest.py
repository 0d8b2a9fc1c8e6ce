"""What several of these tests take."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from stepcache.pictures.axes import Panel

    from benchmarks.matrix import Cell
    from benchmarks.record import Record
    from pictures import Words


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where a test writes its file."""
    return tmp_path / "mine.json"


# What draws is imported by the tests of pictures only.


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Words:
    """The words that were written."""
    from pictures import record_words

    return record_words(monkeypatch)


@pytest.fixture
def panels(monkeypatch: pytest.MonkeyPatch) -> list[Panel]:
    """The panels that were drawn."""
    from pictures import record_panels

    return record_panels(monkeypatch)


# So are the benchmarks by theirs.


@pytest.fixture
def record(tmp_path: Path) -> Record:
    """The reference matrix in a file, as if it had been measured."""
    from measured_cells import measured_matrix

    return measured_matrix(tmp_path)


@pytest.fixture
def cell() -> Cell:
    """The first cell of the reference matrix."""
    from benchmarks import matrix

    return matrix.cells("reference")[0]
