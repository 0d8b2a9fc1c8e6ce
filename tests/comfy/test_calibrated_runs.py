"""Runs by a calibration: as planned, as predicted, and refused where it does not fit."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache, partial
from typing import Any

import observe
import pytest
import runtime_weights
import torch
import toys
from calibrating import calibrate
from stepcache.cache_core.advisor import advise
from stepcache.cache_core.calibration import Calibration, Target
from stepcache.cache_core.errors import RuleConflictError, UnsupportedModelError
from stepcache.cache_core.host import attach, last_report, timeline_of
from stepcache.cache_core.host.installation import KEY
from stepcache.cache_core.methods import CalibratedSmoothCache, FasterCache, StepCache

STEPS = 12
WISHES = {
    "saved": Target(),
    "alpha": Target("alpha", 0.2),
    "speedup": Target("speedup", 1.25),
    "quality": Target("quality", 0.95),
    "each layer": Target("alpha", 0.2, parts="each layer"),
    "blocks": Target("alpha", 0.4, parts="blocks"),
}


@cache
def measured(name: str) -> Calibration:
    return calibrate(name, steps=STEPS, study={"with_layers": True}).calibration


def scheduled(
    name: str, target: Target, found: Calibration | None = None, model: Any = None
) -> Any:
    method = CalibratedSmoothCache(found or measured(name), target, "mine.json")
    return attach(model or toys.load(name), method)


sample = partial(toys.sample, steps=STEPS)


# As planned and as predicted.


@pytest.mark.parametrize(
    ("name", "target"),
    [
        *(("wan", target) for target in WISHES),
        *(("shapes_dit", target) for target in ("saved", "blocks")),
        *(("sd15", target) for target in ("alpha", "blocks")),
        ("svd", "alpha"),
    ],
)
def test_a_run_is_as_planned_and_as_predicted(name: str, target: str) -> None:
    found, patched = measured(name), scheduled(name, WISHES[target])
    picture = sample(patched, name)
    report = last_report(patched)
    data = json.loads(report.to_json())
    assert report.total_reused > 0
    for kind, plan in report.plans.items():
        assert report.strip_of(kind) == plan
    assert not report.forced
    method = CalibratedSmoothCache(found, WISHES[target])
    assert method.prediction is not None
    assert report.predicted == data["predicted"] == method.prediction.to_dict()
    # The same picture: only what reuse has changed differs from what was measured.
    expected, changed = report.changes
    assert data["changes"] == pytest.approx([expected, changed], abs=1e-4)
    assert changed == pytest.approx(expected, rel=0.25)
    text = report.to_text()
    assert f"predicted: {method.prediction.speedup:.2f}× faster" in text
    assert f"predicted {100 * expected:.1f} %, measured {100 * changed:.1f} %" in text
    assert "measured: " in text and data["measured_speedup"] > 0
    assert torch.equal(sample(patched, name), picture)
    assert observe.stored_bytes() == 0


@pytest.mark.parametrize("parts", ["layers", "each layer", "blocks"])
@pytest.mark.parametrize("name", ["shapes_unet", "wan", "flux", "sd3"])
def test_where_nothing_is_reused_everything_changes_as_predicted(name: str, parts: Any) -> None:
    """To the four digits of a report: both compare the same values of the same picture."""
    patched = scheduled(name, Target("quality", 1.0, lookahead=1, parts=parts))
    assert torch.equal(sample(patched, name), sample(toys.load(name), name))
    expected, changed = last_report(patched).changes
    assert changed == pytest.approx(expected, rel=1e-4)
    assert last_report(patched).predicted["speedup"] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("name", "target"),
    # In a UNet single layers cost more or less than others; all of a kind are known exactly.
    [("wan", "alpha"), ("wan", "each layer"), ("wan", "blocks"), ("shapes_unet", "alpha")],
)
def test_the_bound_of_the_speedup_is_that_of_operations(name: str, target: str) -> None:
    run = partial(sample, name=name)
    patched = scheduled(name, WISHES[target])
    plain = sum(observe.flops_per_evaluation(toys.load(name), run))
    less = sum(observe.flops_per_evaluation(patched, run))
    assert last_report(patched).predicted["flop_bound"] == pytest.approx(plain / less, rel=0.01)
    assert plain / less > 1.03


@pytest.mark.parametrize(
    ("target", "is_kept"),
    [
        (Target("speedup", 1.15), lambda found: found["speedup"] >= 0.995 * 1.15),
        (Target("quality", 0.95), lambda found: found["error"] <= 0.05),
    ],
    ids=["speedup", "quality"],
)
def test_a_wish_is_kept_for_the_run_that_is_sampled(target: Target, is_kept: Any) -> None:
    for steps in (STEPS, 17):
        patched = scheduled("shapes_dit", target)
        toys.sample(patched, "shapes_dit", steps=steps)
        assert is_kept(last_report(patched).predicted)


def test_another_picture_changes_much_the_same() -> None:
    """One picture was measured; another prompt and noise are another matter, but not by much."""
    patched = scheduled("shapes_dit", WISHES["alpha"])
    conds = toys.conditioning("shapes_dit", seed=9)
    sample(patched, "shapes_dit", seed=7, conds=conds)
    expected, changed = last_report(patched).changes
    assert changed == pytest.approx(expected, rel=0.3)
    assert changed != pytest.approx(expected, rel=1e-3)


# Other runs.


@pytest.mark.parametrize("steps", [8, 17, 30])
def test_other_steps_get_a_schedule_of_their_length_and_a_note(steps: int) -> None:
    patched = scheduled("shapes_dit", Target())
    toys.sample(patched, "shapes_dit", steps=steps)
    report = last_report(patched)
    assert {len(plan) for plan in report.plans.values()} == {steps}
    assert report.total_reused > 0
    assert all(report.strip_of(kind) == plan for kind, plan in report.plans.items())
    (note,) = (note for note in report.notes if "other noise levels" in note)
    assert f"({steps} steps, there {STEPS})" in note
    assert "Calibrate with this sampler and scheduler" in note
    sample(patched, "shapes_dit")
    assert not any("other noise levels" in note for note in last_report(patched).notes)


# Other models.


def test_a_calibration_of_another_architecture_is_refused_and_both_are_named() -> None:
    words = (
        r"^SmoothCache Schedule: the calibration is of a Wan \(WanModel: 3 self_attention.*; the "
        r"model is a UNet \(UNetModel: 16 self_attention.*make one with SmoothCache Calibrate"
    )
    with pytest.raises(UnsupportedModelError, match=words):
        scheduled("sd15", Target(), measured("wan"))
    # Of the same family, with other layers.
    with pytest.raises(UnsupportedModelError, match=r"the calibration is of a Wan .* a Wan "):
        scheduled("shapes_dit", Target(), measured("wan"))


@pytest.mark.parametrize("name", ["wan_file", "flux_file"])
def test_other_weights_of_the_architecture_are_welcome(name: str) -> None:
    """A LoRA, and weights of eight bits: as good as the model itself for its layers."""
    found = calibrate(name, steps=STEPS).calibration
    others = (runtime_weights.with_lora(toys.load(name)), runtime_weights.fp8(name))
    others = (*others, runtime_weights.quantised(name))
    for model in others:
        patched = scheduled(name, Target("alpha", 0.3), found, model)
        facts = patched.model_options["transformer_options"][KEY].facts
        assert facts.fingerprint == found.model.fingerprint
        picture = sample(patched, name)
        assert last_report(patched).total_reused > 0
        assert not torch.equal(picture, sample(model, name))


# By the Advisor.


@pytest.mark.parametrize("speedup", [1.1, 1.3, 1.8])
@pytest.mark.parametrize("name", ["sd15", "wan", "sd3"])
def test_where_no_evaluation_is_forecast_a_method_inside_the_network_runs_and_reuses(
    name: str, speedup: float
) -> None:
    adaptive = replace(measured(name).run, sampler="dpm_adaptive")
    found = replace(measured(name), run=adaptive)
    sampling = toys.load(name).get_model_object("model_sampling")
    line = timeline_of(sampling, torch.tensor(found.table.sigmas))
    advice = advise(found, line, speedup, "mine.json")
    assert advice.method.name != StepCache.name and advice.prediction is not None
    patched = attach(toys.load(name), advice.method)
    assert torch.isfinite(sample(patched, name)).all()
    report = last_report(patched)
    assert report.total_reused > 0
    assert report.predicted == pytest.approx(advice.prediction.to_dict())
    assert report.methods == [advice.method.describe()]


@pytest.mark.parametrize("speedup", [1.1, 1.3, 1.8])
@pytest.mark.parametrize("name", ["sd15", "wan", "sd3"])
def test_what_is_advised_runs_and_reuses(name: str, speedup: float) -> None:
    found = measured(name)
    sampling = toys.load(name).get_model_object("model_sampling")
    line = timeline_of(sampling, torch.tensor(found.table.sigmas))
    advice = advise(found, line, speedup, "mine.json")
    patched = attach(toys.load(name), advice.method)
    assert torch.isfinite(sample(patched, name)).all()
    report = last_report(patched)
    assert report.total_reused > 0
    assert all(report.strip_of(kind) == plan for kind, plan in report.plans.items())
    assert advice.method.name == StepCache.name and "R" in report.plans["evaluation"]
    assert report.predicted is None, "errors of layers say nothing about it"
    assert report.methods == [advice.method.describe()]
    with pytest.raises(RuleConflictError, match=rf"^{advice.method.name}: .*already carries a"):
        attach(patched, replace(advice.method))


def test_beside_a_second_method_nothing_is_predicted() -> None:
    """What both do together was not measured."""
    both = attach(scheduled("wan", WISHES["alpha"]), FasterCache(1, 1, 1, guidance_interval=2))
    sample(both, "wan")
    report = last_report(both)
    assert report.total_reused > 0
    assert report.predicted is None and report.changes is None
    assert "predicted" not in report.to_text()
