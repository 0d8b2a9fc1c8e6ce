"""Calibration files: several pictures in one, several folders, and prompts older than they are."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import calibrating
import execution
import pytest
import toys
from calibrating import (
    FILE,
    NAME,
    NODE_STEPS,
    advisor_node,
    calibrate,
    calibrate_node,
    calibrate_to_file,
    listed_files,
    schedule_node,
)
from stepcache.cache_core.calibration import Place
from stepcache.cache_core.calibration.file import read
from stepcache.cache_core.errors import ConfigError
from stepcache.cache_core.host import last_report
from stepcache.cache_core.sites import SiteKind
from stepcache.nodes.extension import NODES
from stepcache.nodes.smoothcache import SmoothCacheSchedule
from stepcache.nodes.step_cache_advisor import StepCacheAdvisor

import nodes

# More pictures.


def test_runs_add_up_and_every_picture_counts_alike(folder: Path) -> None:
    patched = calibrate_node(toys.load(NAME))
    runs: list[dict[str, Any]] = [{"seed": 1}, {"seed": 2, "batch": 2}]
    for options in runs:
        toys.sample(patched, NAME, steps=NODE_STEPS, **options)
    assert "now: 3)" in " ".join(last_report(patched).notes)
    (path,) = folder.iterdir()
    found = read(path)
    assert (found.samples, found.runs) == (3, 2)
    one, other = (calibrate(NAME, steps=NODE_STEPS, **options).calibration for options in runs)
    for place, lags in found.table.rows.items():
        pairs = zip(one.table.rows[place], other.table.rows[place], strict=True)
        expected = [[(a + 2 * b) / 3 for a, b in zip(*rows, strict=True)] for rows in pairs]
        for row, each in zip(lags, expected, strict=True):
            assert row == pytest.approx(each, rel=1e-3), "to the four digits of a file"
    assert one.table.rows[Place(SiteKind.BLOCK)] != other.table.rows[Place(SiteKind.BLOCK)]


def test_a_file_is_replaced_where_asked_for_and_else_never(file: Path) -> None:
    toys.sample(calibrate_node(toys.load(NAME)), NAME, steps=NODE_STEPS, sampler="heun")
    before = file.read_bytes()
    assert sorted(path.name for path in file.parent.iterdir()) == ["mine-2.json", FILE]
    calibrate_to_file("sd15", existing_file="start anew")
    assert read(file).model.family == "UNet"
    assert file.read_bytes() != before


# Files and folders.


@pytest.mark.parametrize("place", ["user/default/stepcache", "models/smoothcache/of a friend"])
def test_a_calibration_works_in_another_installation(
    file: Path, tmp_path: Path, place: str
) -> None:
    """Copied by hand into one of its folders, while it runs."""
    root = tmp_path / "second"
    with calibrating.second_installation(root):
        assert all(FILE not in options for options in listed_files())
        target = root / place / FILE
        target.parent.mkdir(parents=True)
        shutil.copy(file, target)
        name = str(Path(*Path(place).parts[2:], FILE)) if "friend" in place else FILE
        assert all(name in options for options in listed_files())
        scheduled = schedule_node(schedule=name).result[0]
        toys.sample(scheduled, NAME, steps=NODE_STEPS)
        assert last_report(scheduled).total_reused > 0
        assert advisor_node(calibration=name).result[1]


def test_what_an_interrupted_run_left_and_schedules_are_not_offered_as_calibrations(
    file: Path,
) -> None:
    shutil.copy(file, file.with_name("other.partial.json"))
    file.with_name("theirs.json").write_text('{"attn1": [1, 0], "ff": [1, 0]}')
    schedules, calibrations = listed_files()
    assert {FILE, "theirs.json"} <= set(schedules) and "theirs.json" not in calibrations
    assert not any("partial" in name for name in (*schedules, *calibrations))


def test_an_edited_calibration_is_read_again(file: Path) -> None:
    def fingerprints() -> tuple[str, str]:
        return (
            SmoothCacheSchedule.fingerprint_inputs(schedule=FILE, model=None, steps=20),
            StepCacheAdvisor.fingerprint_inputs(model=None, calibration=FILE, speedup=1.5),
        )

    before = fingerprints()
    assert before == fingerprints()
    calibrate_to_file()
    assert all(a != b for a, b in zip(before, fingerprints(), strict=True))


def test_no_calibration_is_read_outside_of_the_folders(file: Path) -> None:
    shutil.copy(file, file.parents[1] / "outside.json")
    for read_it in (
        lambda name: schedule_node(schedule=name),
        lambda name: advisor_node(calibration=name),
    ):
        with pytest.raises(ConfigError, match=r"there is no file .*outside.json in user/default"):
            read_it("../outside.json")


# Prompts that were saved before these nodes were.


class AnyModel:
    """Stands for a loader in a prompt that is only validated."""

    RETURN_TYPES = ("MODEL",)
    FUNCTION = "load"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {}}


def test_a_prompt_without_the_new_inputs_is_valid_and_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    for node in NODES:
        monkeypatch.setitem(nodes.NODE_CLASS_MAPPINGS, node.define_schema().node_id, node)
    monkeypatch.setitem(nodes.NODE_CLASS_MAPPINGS, "AnyModel", AnyModel)
    saved = {"schedule": "FORA: every 2nd step", "steps": NODE_STEPS}
    prompt: dict[str, Any] = {
        "1": {"class_type": "AnyModel", "inputs": {}},
        "2": {"class_type": "StepCacheSmoothCache", "inputs": {"model": ["1", 0], **saved}},
        "3": {
            "class_type": "EmptyLatentImage",
            "inputs": {"width": 64, "height": 64, "batch_size": 1},
        },
        "4": {"class_type": "StepCacheReport", "inputs": {"model": ["2", 0], "latent": ["3", 0]}},
    }

    def is_valid() -> bool:
        return asyncio.run(execution.validate_prompt("an id", prompt, None))[0]

    assert is_valid()
    patched = SmoothCacheSchedule.execute(model=toys.load(NAME), **saved).result[0]
    toys.sample(patched, NAME, steps=NODE_STEPS)
    assert last_report(patched).total_reused > 0
    prompt["2"]["inputs"]["choose_by"] = "something else"
    assert not is_valid(), "the host checks what is there"
