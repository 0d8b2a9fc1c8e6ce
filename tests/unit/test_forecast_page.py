"""What is made of the comparison's records: lines, the nearest of each speed, tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pack

import pytest

from benchmarks import forecast_combined_page, forecast_page
from benchmarks.forecast_records import rows_of
from benchmarks.forecast_results import NEAREST_LAYERS, OURS, SHORT, Results


def row(method: str, psnr: float | None, speed: float = 2.0, share: float = 0.5) -> dict[str, Any]:
    return {
        "model": "dit", "sampler": "euler", "seed": 7, "method": method, "speed": speed,
        "wanted_share": 1 / speed, "share": {"mean": share}, "psnr": psnr, "psnr_error": 0.5,
        "ssim": 0.9, "fully_correct": 0.96, "plain_fully_correct": 0.98, "captions": 100,
    }  # fmt: skip


PLAIN = {
    "model": "dit", "sampler": "euler", "seed": 7, "method": "plain", "captions": 100,
    "fully_correct": 0.98,
}  # fmt: skip


def file(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"method": "words", "rows": [PLAIN, *rows]}


def lines(text: str) -> dict[str, str]:
    """A table's lines by their first cell."""
    return {line.split("|")[1].strip(): line for line in text.splitlines() if line[:1] == "|"}


def test_the_nearest_is_bold_and_named_where_it_is_another_one() -> None:
    found = file(
        row(OURS, 50.0), row("fewer steps", 51.25),
        row(OURS, 40.0, 3.0, 1 / 3), row("fewer steps", 39.9, 3.0, 1 / 3),
    )  # fmt: skip
    table = lines(forecast_page.readme_table(found))
    assert table[OURS] == "| Step Cache | 50.0 | **40.0** | 96.0 / 98.0 % |"
    assert table["fewer steps, same sampler"].startswith(
        "| fewer steps, same sampler | **51.2** | 39.9 |"
    )
    (lost,) = forecast_page.winners(found)
    assert "DiT, 2×: fewer steps, same sampler is nearer, 51.2 dB beside 50.0." in lost


def test_what_computes_more_than_wanted_is_told_and_not_compared() -> None:
    found = file(row(OURS, 50.0), row("EasyCache", 60.0, share=0.57))
    table = lines(forecast_page.readme_table(found))
    assert "| 60.0 (at 0.57) |" in table["ComfyUI EasyCache"]
    assert "**50.0**" in table[OURS]
    assert forecast_page.winners(found) == []


def test_what_computes_less_than_wanted_is_compared() -> None:
    found = file(row(OURS, 50.0), row("EasyCache", 60.0, share=0.4))
    assert "| **60.0 (at 0.40)** |" in lines(forecast_page.readme_table(found))["ComfyUI EasyCache"]


def test_our_layer_methods_are_one_line_of_the_readme_and_all_of_the_page() -> None:
    found = file(
        row(OURS, 50.0),
        row("DeepCache", 30.0),
        row("PAB, blocks", 31.0),
        row("PAB", 70.0, share=0.8),
    )
    assert Results(found, "dit").row(NEAREST_LAYERS, 2.0) == row("PAB, blocks", 31.0)
    table = lines(forecast_page.readme_table(found))
    assert set(table) == {"DiT, 100 captions", "---", OURS, NEAREST_LAYERS}
    assert "| 31.0 |" in table[NEAREST_LAYERS]
    page = forecast_page.page_of(found)
    assert "| our DeepCache | 30.0 |" in page and "| our PAB | 70.0 (at 0.80) |" in page
    assert set(SHORT) & {"DeepCache", "PAB"} == set()


def test_equal_pictures_are_nearest_of_all() -> None:
    table = lines(forecast_page.readme_table(file(row(OURS, 50.0), row("fewer steps", None))))
    assert "| **equal** |" in table["fewer steps, same sampler"]


def batch(first: int, psnr: list[float | None], share: float | None = None) -> dict[str, Any]:
    own = {} if share is None else {"share": share, "psnr": psnr, "ssim": [0.5] * len(psnr)}
    return {"first": first, "correct": [True] * len(psnr), "seconds": 1.0, **own}


def write(folder: Path, method: str, speed: float | None, *batches: dict[str, Any]) -> None:
    what = {"method": method, "model": "dit", "sampler": "euler", "seed": 7}
    if speed is not None:
        what |= {"speed": speed, "wanted_share": 1 / speed}
    folder.mkdir(parents=True, exist_ok=True)
    told = json.dumps({"what": what, "batches": batches})
    (folder / f"{method}{speed}.json").write_text(told, encoding="utf-8")


def test_rows_are_compared_picture_by_picture(tmp_path: Path) -> None:
    folder = tmp_path / "euler" / "seed7" / "records"
    write(folder, "plain", None, batch(0, [None] * 2), batch(2, [None] * 2))
    write(folder, OURS, 2.0, batch(0, [50.0, 60.0], 0.5), batch(2, [10.0, None], 0.4))
    write(folder, "fewer steps", 2.0, batch(0, [45.0, 53.0], 0.5))
    write(folder, "fewer steps", 3.0, batch(0, [45.0, 53.0], 0.5))
    (folder.parent / "timed").mkdir()
    pairs = json.dumps([[2.0, 1.0], [3.0, 1.0], [9.0, 1.0]])
    (folder.parent / "timed" / f"{OURS}2.0.json").write_text(pairs, encoding="utf-8")
    rows = {(each["method"], each.get("speed")): each for each in rows_of(tmp_path)}
    ours, fewer = rows[OURS, 2.0], rows["fewer steps", 2.0]
    assert (ours["captions"], ours["psnr"], ours["identical"]) == (4, 40.0, 1)
    assert ours["share"] == {"mean": 0.45, "lowest": 0.4, "highest": 0.5}
    assert ours["speedup"]["median"] == 3.0 and "behind" not in ours
    # 50 - 45 and 60 - 53; the captions that only one of them has do not count.
    assert fewer["behind"] == {"mean": 6.0, "error": 1.0, "captions": 2}
    assert "behind" not in rows["fewer steps", 3.0] and "speedup" not in fewer
    assert rows["plain", None]["captions"] == 4


def pair(name: str, behind: float, error: float = 0.5, **changes: Any) -> dict[str, Any]:
    lag = {"mean": behind, "error": error, "captions": 25}
    return {
        **row(f"Step Cache + {name}", 50.0 - behind),
        "behind": lag,
        "parameters": "set so",
    } | changes


@pytest.mark.parametrize(
    ("behind", "words"),
    [
        (3.0, "DiT, 2×: Step Cache alone is nearer; with PAB -3.0 ±0.5 dB."),
        (0.9, "DiT, 2×: no pair is surely nearer; with PAB -0.9 ±0.5 dB."),
        (-0.9, "DiT, 2×: no pair is surely nearer; with PAB +0.9 ±0.5 dB."),
        (-1.1, "DiT, 2×: nearer with PAB +1.1 ±0.5 dB."),
    ],
)
def test_a_pair_is_nearer_only_beyond_its_error(behind: float, words: str) -> None:
    found = file(
        pair("PAB", behind), pair("T-GATE", 5.0), pair("DeepCache", -9.0, share={"mean": 0.6})
    )
    assert list(forecast_combined_page.verdicts(found)) == [words]
    page = forecast_combined_page.page_of(found)
    assert words in page and "| Step Cache + DeepCache | 59.0 (at 0.60) |" in page
    assert "* 2×, Step Cache + PAB: set so" in page


def test_where_no_pair_comes_near_that_is_said() -> None:
    found = file(pair("PAB", -9.0, share={"mean": 0.6}))
    (told,) = forecast_combined_page.verdicts(found)
    assert told == "DiT, 2×: no pair comes near this share."


@pytest.mark.parametrize(
    ("name", "page"), [("forecast", forecast_page), ("forecast_combined", forecast_combined_page)]
)
def test_the_page_beside_the_results_is_what_was_measured(name: str, page: Any) -> None:
    path = pack.ROOT / "benchmarks" / "results" / f"{name}.json"
    found = json.loads(path.read_text(encoding="utf-8"))
    assert path.with_suffix(".md").read_text(encoding="utf-8") == page.page_of(found)
