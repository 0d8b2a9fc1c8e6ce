"""Step Cache by a calibration, from the measured run to the planned one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import calibrating
import host
import numpy as np
import pytest
import torch
import toys
from calibrating import FILE, NAME, NODE_STEPS, calibrate, calibrate_to_file
from comfy.patcher_extension import WrappersMP
from stepcache.cache_core.calibration.planning import Planner
from stepcache.cache_core.errors import ConfigError, UnsupportedModelError
from stepcache.cache_core.host import attach, last_report
from stepcache.cache_core.host.evaluation.sampling_scale import scale_at
from stepcache.cache_core.methods import StepCache
from stepcache.nodes.extension import with_strips
from stepcache.nodes.step_cache import NO_CALIBRATION, StepCacheForecast
from stepcache.previews import library
from stepcache.previews.cache import PreviewCache
from stepcache.previews.preview import preview

STEPS = 6
INPUTS: dict[str, Any] = {
    "speed": 2.0, "start_percent": 0.0, "end_percent": 1.0, "carried": "auto",
}  # fmt: skip


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A calibration of the toy that the nodes calibrate, in folders of its own."""
    root = tmp_path_factory.mktemp("installation")
    with calibrating.second_installation(root):
        calibrate_to_file()
        yield Path(library.path_of(FILE))


def plain_estimates(name: str, **options: Any) -> tuple[list[float], np.ndarray]:
    """log(alpha / sigma) and the noise estimate at each step's first evaluation of a plain run."""
    model = toys.load(name).clone()
    sampling = model.get_model_object("model_sampling")
    found: list[tuple[float, torch.Tensor]] = []

    def listen(executor: Any, x: Any, timestep: Any, *args: Any, **kwargs: Any) -> Any:
        denoised = executor(x, timestep, *args, **kwargs)
        scale = scale_at(sampling, float(timestep.flatten()[0]))
        noise = (x.double() - scale.alpha * denoised.double()) / scale.sigma
        found.append((scale.half_log_snr, noise.flatten()))
        return denoised

    model.add_wrapper_with_key(WrappersMP.PREDICT_NOISE, "test", listen)
    toys.sample(model, name, steps=STEPS, **options)
    levels, estimates = zip(*found, strict=True)
    return list(levels), torch.stack(estimates).numpy()


@pytest.mark.parametrize("name", ["shapes_unet", "wan", "sd3"])
def test_a_calibration_has_the_changes_of_the_noise_estimate(name: str) -> None:
    noise = calibrate(name, steps=STEPS).calibration.noise
    assert noise is not None
    levels, estimates = plain_estimates(name)
    changes = np.diff(estimates, axis=0)
    assert noise.half_log_snrs[:-1] == pytest.approx(levels, abs=1e-3)
    assert noise.matrix == pytest.approx(changes @ changes.T / changes.shape[1], rel=1e-3)


def test_of_several_evaluations_in_a_step_the_first_is_taken() -> None:
    noise = calibrate("wan", steps=STEPS, sampler="heun").calibration.noise
    assert noise is not None
    levels, estimates = plain_estimates("wan", sampler="heun")
    # Of the pair about a noise level the first looks ahead from the step before.
    firsts = [0, *range(1, 2 * STEPS - 2, 2)]
    changes = np.diff(estimates[firsts], axis=0)
    assert noise.half_log_snrs[:-1] == pytest.approx([levels[i] for i in firsts], abs=1e-3)
    assert noise.matrix == pytest.approx(changes @ changes.T / changes.shape[1], rel=1e-3)


@pytest.mark.parametrize("sampler", ["euler_ancestral", "dpmpp_2m_sde"])
def test_where_the_sampler_adds_noise_none_are_kept_and_the_report_says_so(sampler: str) -> None:
    done = calibrate("wan", steps=STEPS, sampler=sampler)
    assert done.calibration.noise is None
    assert "what Step Cache plans by was not measured" in done.notes
    with pytest.raises(ConfigError, match="no measured noise estimates"):
        StepCache(2.0, calibration=done.calibration)


def test_the_node_plans_by_the_file_and_the_run_follows(file: Path) -> None:
    assert StepCacheForecast.define_schema().inputs[-1].options[:2] == [NO_CALIBRATION, FILE]
    outputs = host.outputs_of(
        StepCacheForecast.execute(toys.load(NAME), **INPUTS, calibration=FILE)
    )
    patched, text = outputs[0], outputs[1]
    toys.sample(patched, NAME, steps=NODE_STEPS)
    report = last_report(patched)
    assert report is not None and report.timeline is not None
    calibration = library.load(FILE)
    assert calibration.noise is not None
    planner = Planner(calibration.noise, report.timeline.half_log_snrs)
    plan = planner.plan(2.0)
    strip = "".join("C" if step in plan else "R" for step in range(NODE_STEPS))
    assert report.strip_of("evaluation") == report.plans["evaluation"] == strip
    assert strip in text and "predicted error of the final latents" in text
    assert any("predicted error of the final latents" in note for note in report.notes)
    # Another run of the same model has its own plan, by the same numbers.
    toys.sample(patched, NAME, steps=16)
    report = last_report(patched)
    assert report is not None and report.strip_of("evaluation").count("C") == 8


def test_a_run_where_nothing_was_measured_computes_and_says_why(file: Path) -> None:
    patched = attach(toys.load(NAME), StepCacheForecast.method(**INPUTS, calibration=FILE))
    picture = toys.sample(patched, NAME, steps=40, scheduler="karras")
    report = last_report(patched)
    assert report is not None and report.total_reused == 0
    assert "lies at noise levels that were not measured" in (report.nothing_reused_because or "")
    plain = toys.sample(toys.load(NAME), NAME, steps=40, scheduler="karras")
    assert torch.equal(picture, plain)


@pytest.mark.parametrize("steps", [NODE_STEPS, 20])
def test_a_strip_shows_the_plan_before_and_after_a_run(file: Path, steps: int) -> None:
    asked = {"node": "StepCacheForecast", "steps": steps,
             "inputs": {**INPUTS, "calibration": FILE}}  # fmt: skip
    said = preview(with_strips(), asked, PreviewCache())
    assert said["error"] is None
    patched = attach(toys.load(NAME), StepCacheForecast.method(**asked["inputs"]))
    toys.sample(patched, NAME, steps=steps)
    report = json.loads(last_report(patched).to_json())  # type: ignore[union-attr]
    strips = {kind: each["plan"] for kind, each in report["kinds"].items()}
    assert preview(with_strips(), {**asked, "timeline": report["timeline"]}, PreviewCache())[
        "strips"
    ] == (strips)
    if steps == NODE_STEPS:
        assert said["strips"] == strips, "the calibrated schedule is assumed"


def test_another_model_and_another_file_are_refused(file: Path) -> None:
    with pytest.raises(UnsupportedModelError, match=NAME.capitalize()):
        StepCacheForecast.execute(toys.load("sd3"), **INPUTS, calibration=FILE)
    with pytest.raises(ConfigError, match="no file other"):
        StepCacheForecast.method(**INPUTS, calibration="other.json")


def test_the_fingerprint_follows_the_file(file: Path) -> None:
    assert StepCacheForecast.fingerprint_inputs(**INPUTS) == ""
    before = StepCacheForecast.fingerprint_inputs(**INPUTS, calibration=FILE)
    text = file.read_text()
    file.write_text(text + " ")
    assert StepCacheForecast.fingerprint_inputs(**INPUTS, calibration=FILE) != before
    file.write_text(text)
