"""What is made of measured cells: the page, and tables of the documentation."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pack

import pytest
from measured_cells import row, speedup

from benchmarks import matrix, page, tables
from benchmarks.__main__ import PROGRAMS, main
from benchmarks.record import BenchmarkError, Record

RESULTS = pack.ROOT / "benchmarks" / "results"


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
    path = project / "docs" / "measured.md"
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


def test_every_program_can_be_started() -> None:
    sources = {path.stem: path.read_text("utf-8") for path in RESULTS.parent.glob("[!_]*.py")}
    assert {name for name, source in sources.items() if "\ndef main(" in source} == {*PROGRAMS}


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
