"""Files of today are read for good, those of later versions as far as they are understood."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from calibration_files import DEEP, FEED_FORWARD, SELF, made, noise, refusal_of
from stepcache.cache_core.advisor import advise
from stepcache.cache_core.calibration import Calibration, Place, Selector, Target
from stepcache.cache_core.calibration.file import is_calibration, lay_out, read, save, write
from stepcache.cache_core.methods import CalibratedSmoothCache, SmoothCache
from stepcache.cache_core.schedule_file import Rows, read_schedule
from stepcache.cache_core.sites import SiteKind

FILES = Path(__file__).parent / "files"
CROSS, BLOCK = SiteKind.CROSS_ATTENTION, SiteKind.BLOCK


def flags(word: str) -> tuple[bool, ...]:
    return tuple(letter == "1" for letter in word)


# Files of today, kept as they were written.


def test_a_calibration_of_today_is_read() -> None:
    found = read(FILES / "calibration.json")
    assert found.remarks == ()
    assert found.unread == {}
    assert (found.model.network, found.run.sampler, found.run.cfg) == ("UNetModel", "euler", 2.5)
    assert (found.samples, found.runs, found.average) == (8, 1, "per sample")
    assert (found.table.steps, found.table.lookahead) == (20, 4)
    assert found.table.rows[Place(SELF)][0][0] == 0.5279
    assert found.model.layers[DEEP] == 6
    chosen = Selector(found).choose(found.timeline, Target("speedup", 1.2))
    assert 1.19 < chosen.prediction.speedup < 1.3


def test_a_calibration_of_single_layers_of_today_is_read() -> None:
    found = read(FILES / "calibration_of_layers.json")
    assert found == lay_out(made()).calibration
    places = {Place(SELF, None, "cond"), Place(SELF, None, "uncond"), Place(SELF, 1)}
    assert places <= found.table.rows.keys()
    assert found.schedule[1] == (SELF, 1, (True,) * 6)


def test_a_calibration_with_changes_of_noise_of_today_is_read() -> None:
    found = read(FILES / "calibration_of_noise.json")
    assert found == lay_out(made(noise=noise())).calibration
    assert found.timeline.half_log_snrs == found.noise.half_log_snrs  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "name", ["calibration.json", "calibration_of_layers.json", "calibration_of_noise.json"]
)
def test_what_is_written_again_holds_the_same(name: str) -> None:
    document = json.loads((FILES / name).read_text(encoding="utf-8"))
    # What calibrations say since the first of them was written.
    document["costs"] = {"asking": {}, "patching": 0.0, **document["costs"]}
    assert json.loads(lay_out(read(FILES / name)).text) == document


AUTHORS = "100101010101010101010101010111"
SCHEDULES: dict[str, Rows] = {
    "schedule_of_the_authors.json": (
        (SELF, None, flags(AUTHORS)),
        (FEED_FORWARD, None, flags(AUTHORS)),
    ),
    "schedule_exported.json": (
        (SELF, None, flags("100101")),
        (CROSS, None, flags("101010")),
        (FEED_FORWARD, None, flags("110011")),
    ),
    "schedule_of_layers.json": (
        (SELF, None, flags("1010")),
        (SELF, 0, flags("1111")),
        (SELF, 12, flags("1000")),
        (BLOCK, None, flags("1111")),
        (FEED_FORWARD, 3, flags("1001")),
    ),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_of_today_is_read(name: str) -> None:
    assert not is_calibration(FILES / name)
    found = read_schedule(FILES / name)
    assert found.rows == SCHEDULES[name]
    assert found.remarks == ()


# Files of a later version.


def put(document: Any) -> None:
    steps = document["run"]["steps"]
    document["more"] = {"a": [1, {"b": None}]}
    document["run"]["hint"] = "text"
    document["model"]["layers"]["mamba"] = 12
    document["costs"]["energy"] = {"self_attention": 0.5}
    document["costs"]["seconds"]["mamba"] = 0.125
    document["influence"]["mamba"] = 0.25
    document["schedule"]["mamba"] = [1] * steps
    document["errors"][0]["unit"] = "L1"
    lags = document["errors"][0]["lags"]
    document["errors"].insert(1, {"kind": "mamba", "index": 3, "lags": [[0.5], "of another form"]})
    document["errors"].append({"kind": "self_attention", "branch": "image", "lags": lags})


def later(file: Path, change: Callable[[Any], None] = put) -> Any:
    """A file as a later version may write it, and what it holds."""
    document = json.loads(lay_out(made()).text)
    change(document)
    file.write_text(json.dumps(document), encoding="utf-8")
    return document


def test_what_is_not_understood_is_passed_over_with_a_remark(file: Path) -> None:
    later(file)
    found = read(file)
    known = lay_out(made()).calibration
    influence = {**known.influence, "mamba": 0.25}
    assert replace(found, unread={}) == replace(known, influence=influence)
    (remark,) = found.remarks
    assert remark == (
        'the calibration was made by a newer version of Step Cache; passed over here: "model, '
        'layers, mamba", "run, hint", errors of "mamba", errors of "self_attention image", errors '
        'of "self_attention, unit" and 4 more. Update Step Cache to use all of it'
    )


def parts(document: Any) -> dict[str, Any]:
    """Everything that `put` has added."""
    errors = document["errors"]
    return {
        "more": document["more"],
        "hint": document["run"]["hint"],
        "layers": document["model"]["layers"]["mamba"],
        "energy": document["costs"]["energy"],
        "seconds": document["costs"]["seconds"]["mamba"],
        "influence": document["influence"]["mamba"],
        "schedule": document["schedule"]["mamba"],
        "unit": next(row for row in errors if "unit" in row)["unit"],
        "mamba": [row for row in errors if row["kind"] == "mamba"],
        "image": [row for row in errors if row.get("branch") == "image"],
    }


def test_what_is_not_understood_is_written_again(file: Path) -> None:
    document = later(file)
    write(file, read(file))
    assert parts(json.loads(file.read_text(encoding="utf-8"))) == parts(document)


def test_a_picture_is_added_and_nothing_is_lost(file: Path) -> None:
    document = later(file)
    saved = save(file, made(error=0.4), add=True)
    assert saved.path == file
    assert saved.calibration.samples == 4
    assert saved.remarks[-1].startswith("the calibration was made by a newer version of Step Cache")
    written = json.loads(file.read_text(encoding="utf-8"))
    assert parts(written) == parts(document)
    assert written["samples"] == 4
    row = next(row for row in written["errors"] if row.get("unit"))
    assert row["lags"] == [list(lag) for lag in saved.calibration.table.rows[Place(SELF)]]


def test_another_way_of_averaging_is_used_but_not_mixed(file: Path) -> None:
    later(file, lambda document: document.update(average="median"))
    found = read(file)
    assert 'passed over here: average "median"' in found.remarks[0]
    saved = save(file, made(), add=True)
    assert saved.path == file.with_name("mine-2.json")
    assert "mine.json differs in average" in saved.remarks[-1]
    assert json.loads(file.read_text(encoding="utf-8"))["average"] == "median"


def only_mamba(document: Any) -> None:
    document["errors"] = [{"kind": "mamba", "lags": []}]


def deep(document: Any) -> None:
    value: Any = 1
    for _ in range(500):
        value = [value]
    document["more"] = value


def test_what_cannot_be_used_at_all_is_refused_with_what_to_do(file: Path) -> None:
    later(file, lambda document: document.update(stepcache_calibration=2))
    newer = "made by a newer version of Step Cache"
    assert f"is of format 2, {newer}; this one reads format 1: update" in refused(file)
    later(file, only_mamba)
    assert f"has nothing at errors that this version knows: it was {newer}; update" in refused(file)


def test_what_could_not_be_written_again_is_refused(file: Path) -> None:
    later(file, deep)
    assert "has a number beyond all, or values nested too deeply" in refused(file)
    file.write_text(lay_out(made()).text.replace('"tool"', '"more": [1e999], "tool"'))
    assert "has a number beyond all, or values nested too deeply" in refused(file)


def refused(file: Path) -> str:
    return refusal_of(read, file, "calibration")


@pytest.mark.parametrize("name", ["layers", "flops", "schedules", "errors "])
@pytest.mark.parametrize("value", [1, None, [], {"a": 1}, {}, "x" * 500, [[{"kind": 1}]]])
def test_a_new_key_may_hold_anything(file: Path, name: str, value: Any) -> None:
    later(file, lambda document: document.update({name: value}))
    found = read(file)
    assert found.remarks
    assert json.loads(lay_out(found).text)[name] == value


def test_the_remark_is_in_the_texts_of_nodes(file: Path) -> None:
    known = read(FILES / "calibration.json")
    newer = replace(known, unread={"more": 1})
    method = CalibratedSmoothCache(newer, Target("speedup", 1.5))
    advice = advise(newer, newer.timeline, 1.5, "mine")
    assert newer.remarks[0] in method.notes
    assert newer.remarks[0] in method.fitted(newer.timeline).notes
    assert newer.remarks[0] in advice.reason.splitlines()
    assert advice.method.notes.count(newer.remarks[0]) == 1
    assert not remarked(CalibratedSmoothCache(known, Target("speedup", 1.5)))


def remarked(method: Any) -> bool:
    return any("newer version" in note for note in method.notes)


def test_rows_of_a_schedule_that_are_not_known_are_passed_over(file: Path) -> None:
    file.write_text('{"mamba": "none", "attn": [1, 0], "mamba-3": [1], "atn": [1, 0]}')
    found = read_schedule(file)
    assert found.rows == ((SELF, None, (True, False)),)
    assert found.remarks == (
        "rows of the schedule mine.json were passed over, because this version of Step Cache knows "
        'no such layers: "mamba", "mamba-3", "atn"',
    )
    assert SmoothCache(found.rows, file.name, notes=found.remarks).notes == found.remarks


def test_of_many_names_some_are_told(file: Path) -> None:
    names = [f"mamba-{index}" for index in range(30)]
    file.write_text(json.dumps({"attn": [1, 0], **{name: [1, 0] for name in names}}))
    assert read_schedule(file).remarks[0].endswith('"mamba-3", "mamba-4" and 25 more')
    calibration: Calibration = replace(made(), unread=dict.fromkeys(names, 1))
    assert '"mamba-4" and 25 more. Update' in calibration.remarks[0]
