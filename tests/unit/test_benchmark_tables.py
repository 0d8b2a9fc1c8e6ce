"""What is made of measured cells: files that are not mixed, comparisons, pages, tables."""

from __future__ import annotations

import copy
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pack
import pytest

from benchmarks import compare, matrix, page, tables
from benchmarks.__main__ import main
from benchmarks.record import BenchmarkError, Record

RESULTS = pack.ROOT / "benchmarks" / "results"
CONDITIONS = {"device": "CPU", "processor": "a processor", "torch": "2.0", "code": "abc"}


def speedup(median: float, spread: float = 0.1, pairs: int = 3) -> dict[str, Any]:
    return {
        "median": median, "lowest": median - spread, "highest": median + spread, "pairs": pairs,
        "plain_seconds": 2.0, "patched_seconds": 2.0 / median, "first_seconds": 3.5,
    }  # fmt: skip


def row(cell: matrix.Cell, median: float = 1.0, **more: Any) -> dict[str, Any]:
    """As running.py writes it."""
    return {
        "model": cell.name, "title": cell.model.title, "size": str(cell.size),
        "batch": cell.batch, "steps": cell.model.steps, "row": cell.row,
        "parts": list(cell.parts), "speedup": speedup(median), "is_bit_identical": True,
        "greatest_difference": 0.0, **more,
    }  # fmt: skip


@pytest.fixture
def record(tmp_path: Path) -> Record:
    """The reference matrix in a file; the n-th cell has the speed 1 + n / 100."""
    made = Record(tmp_path / "matrix.json", "reference", CONDITIONS)
    *cells, last = matrix.cells("reference")
    made.cells = {cell.key: row(cell, 1 + n / 100) for n, cell in enumerate(cells)}
    made.add(last.key, row(last))
    return made


@pytest.fixture
def cell() -> matrix.Cell:
    """The first cell of the reference matrix."""
    return matrix.cells("reference")[0]


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


# The page.


def test_the_page_has_conditions_and_every_cell(record: Record, cell: matrix.Cell) -> None:
    refused = matrix.cells("reference")[-1]
    told = {"flop_bound": 2.5, "kept_bytes": 3 * 2**20, "told": ["a line"]}
    distance = {"is_bit_identical": False, "greatest_difference": 0.0123}
    record.add(cell.key, row(cell, 1.25, **told, **distance))
    record.add(refused.key, {**row(refused), "refused": "no such layers"})
    del record.cells[refused.key]["speedup"]
    text = page.page_of(record)
    assert "| processor | a processor |" in text
    assert f"| {cell.row} | 1.25× | 1.15 to 1.35 (3) | 2.50× | 1.2e-02 | 3.0 | 3.5 s |" in text
    assert f"* {cell.row}: a line" in text
    assert f"* {refused.row}: refused. no such layers" in text
    points = {(each.name, each.size, each.batch) for each in matrix.cells("reference")}
    assert text.count("\n### ") == len(points)


def test_the_page_is_in_the_order_of_the_matrix(record: Record) -> None:
    turned = copy.deepcopy(record)
    turned.cells = dict(reversed(record.cells.items()))
    assert page.page_of(turned) == page.page_of(record)


# The tables.


def test_tables_of_the_documentation_are_what_was_measured(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["tables", "--check"]) == 0, capsys.readouterr().out


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the files that have tables."""
    for name in tables.FILES:
        path = tmp_path / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text((pack.ROOT / name).read_text(encoding="utf-8"), encoding="utf-8")
    return tmp_path / "project"


@pytest.mark.parametrize("was", ["2.63×", "2.51×", "1.53×", "41.8 dB"])
def test_a_number_that_was_not_measured_is_found(was: str, project: Path) -> None:
    path = project / "README.md"
    right = path.read_text(encoding="utf-8")
    path.write_text(right.replace(f"| {was} |", "| 9.99× |"), encoding="utf-8")
    assert tables.update(project, RESULTS, may_write=False) == [path]
    assert path.read_text(encoding="utf-8") != right
    assert tables.update(project, RESULTS, may_write=True) == [path]
    assert path.read_text(encoding="utf-8") == right
    assert tables.update(project, RESULTS, may_write=True) == []


def test_a_place_that_is_gone_is_found(project: Path) -> None:
    path = project / "docs" / "recipes.md"
    text = path.read_text(encoding="utf-8").replace("<!-- table recipe wan_small: end -->", "")
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BenchmarkError, match=r"expected recipe sdxl_small, .*recipe wan_small"):
        tables.update(project, RESULTS, may_write=True)


def test_a_recipe_tells_what_each_part_gained(record: Record) -> None:
    model = matrix.REFERENCE["wan_small"]
    size, batch = model.points[0]
    parts = list(matrix.stack(model.recipe))
    for number, each in enumerate(parts):
        key = matrix.Cell("wan_small", model, size, batch, each).key
        record.cells[key]["speedup"] = speedup(1.2 * 1.5**number)
    last = matrix.Cell("wan_small", model, size, batch, parts[-1]).key
    record.add(last, {**record.cells[last], "is_bit_identical": False, "greatest_difference": 0.02})
    lines = tables.table("recipe wan_small", record.path.parent).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[4:]]
    assert [line[0].removeprefix("+ ") for line in cells] == [
        " + ".join(part[len(before) :]) for before, part in zip(((), *parts), parts, strict=False)
    ]
    assert [line[3] for line in cells] == ["1.20×", *["1.50×"] * (len(parts) - 1)]
    assert [line[4] for line in cells] == [*["0"] * (len(parts) - 1), "2.0e-02"]
    assert "a processor" in lines[0]


def test_a_part_that_was_refused_is_told_and_passed_over(record: Record) -> None:
    model = matrix.REFERENCE["sdxl_small"]
    size, batch = model.points[0]
    first, second, *_ = matrix.stack(model.recipe)
    key = matrix.Cell("sdxl_small", model, size, batch, second).key
    record.add(key, {"refused": "words"})
    text = tables.table("recipe sdxl_small", record.path.parent)
    assert f"| + {second[-1]} | refused | | | |" in text
    assert f"| + {first[-1]} | " in text


def test_settings_are_told_for_every_model(record: Record, cell: matrix.Cell) -> None:
    fused = matrix.Cell(cell.name, cell.model, cell.size, cell.batch, ("Fused Projections",))
    record.add(fused.key, {"refused": "words"})
    lines = tables.table("settings", record.path.parent).splitlines()
    assert len(lines) == 2 + len(matrix.REFERENCE)
    assert "| refused |" in lines[2]
    alone = record.cells[cell.key.replace(cell.row, "Attention Backend")]
    assert f"| {alone['speedup']['median']:.2f}× |" in lines[2]


def test_results_that_lack_something_are_refused(record: Record) -> None:
    gone = next(key for key in record.cells if key.startswith("flux_small"))
    kept = {key: each for key, each in record.cells.items() if not key.startswith("flux_small")}
    record.cells = kept
    record.add("x", {})
    with pytest.raises(BenchmarkError, match=r"recipe flux_small.* lacks 'flux_small.*once more"):
        tables.table("recipe flux_small", record.path.parent)
    assert gone not in kept


# The commands.


def test_commands_say_what_they_did(record: Record, capsys: pytest.CaptureFixture[str]) -> None:
    path = record.path
    assert main(["page", str(path)]) == 0
    assert path.with_suffix(".md").read_text(encoding="utf-8") == page.page_of(record)
    assert main(["compare", str(path), str(path)]) == 0
    assert main(["run", "--list", "--only", "flux_small"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert [line for line in listed if line.startswith("flux_small")][-1].startswith("flux_small")
    assert main(["run", "--only", "no such cell"]) == 2
    assert "'no such cell' leaves no cell" in capsys.readouterr().err
    assert main(["compare", str(path), "nowhere.json"]) == 2
    assert "nowhere.json cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize("pairs", ["0", "-1"])
def test_no_pairs_are_refused(pairs: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["run", "--pairs", pairs])
    assert "expected 1 or more" in capsys.readouterr().err


def test_demo_results_are_in_the_form_in_which_the_demo_writes_them() -> None:
    from demonstration.results import Row

    found = json.loads((RESULTS / "demo.json").read_text(encoding="utf-8"))
    rows = [row for group in found["models"].values() for row in group]
    assert len(rows) == len({Row(**row).workflow for row in rows}) > 10
