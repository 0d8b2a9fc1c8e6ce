"""From SmoothCache Calibrate to a schedule and to advice, by the nodes as ComfyUI calls them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import calibrating
import pytest
import runtime_patches
import torch
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
from stepcache.cache_core.calibration.file import read, write
from stepcache.cache_core.errors import ConfigError, RuleConflictError, StepCacheError
from stepcache.cache_core.host import last_report
from stepcache.nodes.smoothcache import SmoothCacheSchedule
from stepcache.nodes.smoothcache_curves import SmoothCacheCurves
from stepcache.nodes.step_cache import StepCacheForecast


def _is_picture(image: torch.Tensor) -> bool:
    count, height, width, channels = image.shape
    is_drawn = len(image.unique()) > 10 and height > 400
    return (
        (count, width, channels) == (1, 1024, 3)
        and 0 <= image.min() < image.max() <= 1
        and is_drawn
    )


# The whole way.


def test_a_picture_is_measured_drawn_saved_and_used_at_once(folder: Path) -> None:
    assert all(FILE not in options for options in listed_files())
    patched = calibrate_node(toys.load(NAME))
    latent = {"samples": toys.sample(patched, NAME, steps=NODE_STEPS)}
    handed_on, image, text = SmoothCacheCurves.execute(patched, latent).result
    assert handed_on is latent
    assert _is_picture(image)
    assert "saved as mine.json (pictures: 1, runs: 1)" in text
    assert "× faster" in text
    assert read(folder / FILE).is_whole
    assert all(FILE in options for options in listed_files()), "without a restart"
    scheduled, image, text = schedule_node().result
    assert _is_picture(image)
    assert text.splitlines()[0].startswith("SmoothCache Schedule (mine.json, alpha 0.15, computes")
    assert text.splitlines()[1].startswith("predicted: ")
    toys.sample(scheduled, NAME, steps=NODE_STEPS)
    assert last_report(scheduled).total_reused > 0


@pytest.mark.parametrize(
    ("inputs", "label"),
    [
        ({"choose_by": "threshold", "threshold": 0.3}, "alpha 0.3"),
        ({"choose_by": "speedup", "speedup": 1.2}, "alpha"),
        ({"choose_by": "quality", "quality": 0.97}, "alpha"),
        ({"choose_by": "threshold", "threshold": 0.4, "parts": "each layer"}, "alpha 0.4"),
        ({"choose_by": "speedup", "speedup": 1.2, "parts": "whole blocks"}, "alpha"),
        ({"choose_by": "threshold", "threshold": 9.0, "lookahead": 1}, "alpha 9"),
    ],
    ids=str,
)
def test_a_schedule_is_chosen_on_the_node(folder: Path, inputs: dict[str, Any], label: str) -> None:
    calibrate_to_file(each_layer=True)
    scheduled, image, text = schedule_node(**inputs).result
    assert _is_picture(image)
    assert f"({FILE}, {label}" in text and "predicted: " in text
    toys.sample(scheduled, NAME, steps=NODE_STEPS)
    report = last_report(scheduled)
    assert report.total_reused > 0
    if inputs.get("lookahead") == 1:
        assert set(report.plans.values()) == {"CR" * 5 + "CC"}
    assert ("block" in report.plans) == (inputs.get("parts") == "whole blocks")
    assert any("P" in plan for plan in report.plans.values()) == (
        inputs.get("parts") == "each layer"
    )


def test_the_advisor_attaches_what_it_advises(file: Path) -> None:
    patched, text = advisor_node().result
    toys.sample(patched, NAME, steps=NODE_STEPS)
    report = last_report(patched)
    assert report.total_reused > 0
    (method,) = report.methods
    assert method.endswith(", chosen by Step Cache Advisor")
    assert text.splitlines()[0].startswith(method.partition(" (")[0])
    assert "Instead, " in text
    with pytest.raises(RuleConflictError, match=r"already carries a|are attached to one model"):
        calibrating.calibrate_node(patched)
    if "SmoothCache" in method:
        with pytest.raises(RuleConflictError, match=r"already carries a SmoothCache Schedule node"):
            SmoothCacheSchedule.execute(patched, FILE, 20)


@pytest.mark.parametrize("speedup", [1.3, 2.0, 4.0])
def test_what_it_tells_can_be_set_on_step_cache(file: Path, speedup: float) -> None:
    advised, text = advisor_node(speedup).result
    told = re.fullmatch(
        r"Step Cache \(speed (.*), start_percent (.*), end_percent (.*), carried (.*)\)",
        text.splitlines()[2],
    )
    assert told is not None, text
    speed, start, end, carried = told.groups()
    assert float(speed) > 1
    copied, _ = StepCacheForecast.execute(
        toys.load(NAME), float(speed), float(start), float(end), carried
    ).result
    pictures = [toys.sample(model, NAME, steps=NODE_STEPS) for model in (advised, copied)]
    assert torch.equal(*pictures)
    assert last_report(advised).computed == last_report(copied).computed


# Refusals.


@pytest.mark.parametrize("schedule", ["FORA: every 2nd step", "theirs.json"])
def test_from_a_schedule_without_errors_nothing_can_be_chosen(folder: Path, schedule: str) -> None:
    folder.mkdir(parents=True)
    (folder / "theirs.json").write_text('{"ff": [1, 0, 1, 0]}')
    words = f"^SmoothCache Schedule: {schedule} is a schedule without measured errors.*make a cal"
    with pytest.raises(ConfigError, match=words):
        schedule_node(schedule=schedule, choose_by="speedup")
    assert schedule_node(schedule=schedule).result[2].startswith("SmoothCache Schedule (")


@pytest.mark.parametrize("speedup", [0.5, float("nan")])
def test_advice_for_a_slower_picture_is_refused(file: Path, speedup: float) -> None:
    with pytest.raises(
        ConfigError, match=r"^Step Cache Advisor: speedup is .*; expected 1 or more"
    ):
        advisor_node(speedup)


def test_a_calibration_of_another_model_is_refused(file: Path) -> None:
    write(file.with_name("small.json"), calibrate("sd15", steps=4).calibration)
    words = r"the calibration is of a UNet \(UNetModel.*the model is a Wan \(WanModel"
    for refuse in (
        lambda: schedule_node(schedule="small.json"),
        lambda: advisor_node(calibration="small.json"),
    ):
        with pytest.raises(StepCacheError, match=words):
            refuse()


def test_curves_say_what_is_missing(folder: Path) -> None:
    def curves(model: Any) -> Any:
        return SmoothCacheCurves.execute(model, {"samples": None})

    for model in (toys.load(NAME), schedule_node(schedule="FORA: every 2nd step").result[0]):
        with pytest.raises(
            StepCacheError, match=r"^SmoothCache Curves: SmoothCache Calibrate is not"
        ):
            curves(model)
    patched = calibrate_node(toys.load(NAME))
    with pytest.raises(StepCacheError, match=r"^SmoothCache Curves: .* not been sampled yet"):
        curves(patched)
    toys.sample(patched, NAME, steps=3, sampler="dpm_adaptive")
    with pytest.raises(StepCacheError, match=r"^SmoothCache Curves: nothing was measured. .*euler"):
        curves(patched)
    # Where sizes change in the middle of a run, there are no layers that a schedule could be about.
    setup = next(setup for setup in runtime_patches.SETUPS if setup.name == "deep shrink")
    shrunk = calibrate_node(setup.patch(toys.load("sd15")))
    toys.sample(shrunk, "sd15", steps=NODE_STEPS)
    with pytest.raises(
        StepCacheError, match=r"^SmoothCache Curves: .*no errors of layers.*left out"
    ):
        curves(shrunk)
