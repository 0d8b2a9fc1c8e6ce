"""Measured cells in files: gone on with, never mixed, compared."""

from __future__ import annotations

import copy
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from measured_cells import CONDITIONS, speedup

from benchmarks import compare, matrix
from benchmarks.record import BenchmarkError, Record

# The files.


@pytest.mark.parametrize("name", matrix.MATRICES)
def test_cells_have_names_of_their_own(name: str) -> None:
    keys = [cell.key for cell in matrix.cells(name)]
    assert len(keys) == len(set(keys)) > 50


@pytest.mark.parametrize("name", matrix.MATRICES)
def test_every_model_has_its_recipe_part_by_part(name: str) -> None:
    for model in matrix.MATRICES[name].values():
        parts = list(matrix.stack(model.recipe))
        assert all(more[: len(less)] == less for less, more in pairwise(parts))
        assert set(parts) <= set(matrix.rows(model))
        assert set(parts[-1]) >= set(model.recipe)
        assert {(each,) for each in (*model.methods, *matrix.SETTINGS)} <= set(matrix.rows(model))


def test_a_file_goes_on_where_it_was(record: Record, cell: matrix.Cell) -> None:
    again = Record(record.path, "reference", CONDITIONS)
    assert again.cells == record.cells
    assert again.has(cell.key, 3) and again.has(cell.key, 1)
    assert not again.has(cell.key, 4), "more pairs are measured anew"
    assert not again.has("another", 1)


def test_a_refusal_is_done_whatever_the_pairs(record: Record, cell: matrix.Cell) -> None:
    record.add(cell.key, {"refused": "words"})
    assert record.has(cell.key, 100)


@pytest.mark.parametrize(
    ("name", "conditions", "words"),
    [
        ("reference", {**CONDITIONS, "torch": "2.1"}, "torch: 2.0 → 2.1"),
        ("reference", {**CONDITIONS, "code": "def"}, "code: abc → def"),
        ("reference", {**CONDITIONS, "threads": 4}, "threads: None → 4"),
        ("full", CONDITIONS, "matrix: reference → full"),
    ],
)
def test_other_conditions_are_not_mixed(
    record: Record, name: str, conditions: dict[str, Any], words: str
) -> None:
    before = record.path.read_bytes()
    with pytest.raises(BenchmarkError, match=rf"{words}\. Give another --out, or --fresh"):
        Record(record.path, name, conditions)
    assert record.path.read_bytes() == before


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "cannot be read"),
        ("{", "is no JSON"),
        ("[]", "has format None; expected 1"),
        ('{"format": 7}', "has format 7; expected 1"),
    ],
)
def test_what_is_no_file_of_results_is_refused(
    text: str | None, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "file.json"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(BenchmarkError, match=words):
        Record.read(path)


def test_no_half_file_is_left(record: Record, cell: matrix.Cell) -> None:
    before = record.path.read_bytes()
    with pytest.raises(TypeError):
        record.add(cell.key, {"told": object()})
    assert record.path.read_bytes() == before
    assert list(record.path.parent.iterdir()) == [record.path]


# Two files.


@pytest.fixture
def later(record: Record) -> Record:
    """The same, to be changed."""
    return copy.deepcopy(record)


def test_equal_files_have_not_changed(record: Record, later: Record) -> None:
    text = compare.text_of(record, later)
    assert "Measured under the same conditions." in text
    assert text.endswith(f"{len(record.cells)} cells in both, 0 changed")


@pytest.mark.parametrize(
    ("median", "verdict"),
    [(1.1, None), (0.9, None), (1.5, "faster: 1.500"), (0.5, "slower: 0.500")],
)
def test_what_is_beyond_both_spreads_has_changed(
    median: float, verdict: str | None, record: Record, later: Record, cell: matrix.Cell
) -> None:
    later.cells[cell.key]["speedup"] = speedup(median)
    text = compare.text_of(record, later)
    assert f", {1 if verdict else 0} changed" in text
    if verdict:
        assert f"\n* {cell.key}: {verdict} × the first speedup" in text


def test_a_single_pair_proves_no_change(record: Record, later: Record, cell: matrix.Cell) -> None:
    later.cells[cell.key]["speedup"] = speedup(1.5, 0.0, pairs=1)
    text = compare.text_of(record, later)
    assert text.endswith(", 0 changed") and "| a single pair has no spread |" in text


def test_a_ratio_of_ratios_has_its_spread(record: Record, later: Record, cell: matrix.Cell) -> None:
    later.cells[cell.key]["speedup"] = speedup(2.0)
    # 1.9 to 2.1 over 0.9 to 1.1.
    assert "| 1.000× | 2.000× | 2.000 | 1.727 to 2.333 |" in compare.text_of(record, later)


def test_refusals_pictures_conditions_and_missing_cells_are_told(
    record: Record, later: Record
) -> None:
    refused, other, gone, *_ = list(record.cells)
    later.conditions["torch"] = "3.0"
    later.cells[refused] = {"refused": "words"}
    later.cells[other]["is_bit_identical"] = False
    del later.cells[gone]
    text = compare.text_of(record, later)
    assert "torch: 2.0 → 3.0" in text
    assert f"* {refused}: 1.000× → refused" in text
    assert f"* {other}: not identical now" in text
    assert f"Only in {record.path}: {gone}" in text
