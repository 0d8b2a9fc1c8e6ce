"""Runs that settings do not fit: too short, of one step, of none. They draw; the report tells."""

from __future__ import annotations

from typing import Any

import cases
import host
import observe
import pytest
import torch
import toys
from calibrating import STEPS, calibrate
from comfy_extras import nodes_custom_sampler as custom
from stepcache.cache_core.calibration import Study, Target
from stepcache.cache_core.host import attach, last_calibration, last_report
from stepcache.cache_core.host.installation import installation_of
from stepcache.cache_core.host.remarks import (
    NO_STEP,
    NOTHING_TO_COMPARE,
    ONE_STEP,
    STEP_BY_STEP,
)
from stepcache.cache_core.methods import (
    PAB,
    Calibrate,
    CalibratedSmoothCache,
    DeepCache,
    FasterCache,
    SmoothCache,
    TGate,
)
from stepcache.cache_core.sites import SiteKind
from stepcache.torch_settings.precision import Precision
from stepcache.torch_settings.setting import apply, told_by

SCHEDULE = SmoothCache(((SiteKind.SELF_ATTENTION, None, (True, False) * 5),))
CALIBRATE = Calibrate(Study(lambda calibration: (calibration, ())))


def _sample(model: Any, name: str, steps: int, **options: Any) -> torch.Tensor:
    latent = toys.TOYS[name].empty(size=12 if name == "sd15" else None)
    return toys.sample(model, name, steps=steps, **{"latent": latent, **options})


EVERY = {
    **{method: build("sd15").reusing(10) for method, build in cases.BUILDERS.items()},
    "PAB blocks": PAB(block=2, window=cases.WHOLE_RUN), "Calibrate": CALIBRATE,
    "FasterCache idle": FasterCache(1, 1, 1, guidance_interval=1),
    "FasterCache default": FasterCache(),
}  # fmt: skip


@pytest.mark.parametrize("method", EVERY)
def test_a_run_of_one_step_is_the_plain_one_and_the_report_says_why(method: str) -> None:
    model = attach(toys.load("sd15"), EVERY[method])
    assert torch.equal(_sample(model, "sd15", 1), _sample(toys.load("sd15"), "sd15", 1))
    report = last_report(model)
    assert (report.outcome, report.evaluations, report.total_reused) == ("finished", 1, 0)
    assert report.total_computed > 0
    reason = report.nothing_reused_because
    assert reason == ONE_STEP or "lies beyond this run of 1" in reason or "this run has 1" in reason


@pytest.mark.parametrize(
    ("method", "steps", "words"),
    [
        (TGate(9), 6, "TGATE Gate: gate_step 9 lies beyond this run of 6 steps; lower it"),
        (SCHEDULE, 6, "SmoothCache Schedule: the schedule is for 10 steps, this run has 6; sample"),
        (
            DeepCache(2, 0, uniform=False, center=15, power=1.4),
            30,
            "DeepCache UNet: no non-uniform list of 15 steps",
        ),
    ],
    ids=["T-GATE", "SmoothCache", "DeepCache"],
)
def test_settings_that_do_not_fit_the_steps_compute_and_the_report_says_why(
    method: Any, steps: int, words: str
) -> None:
    model = attach(toys.load("sd15"), method)
    plain = _sample(toys.load("sd15"), "sd15", steps)
    assert torch.equal(_sample(model, "sd15", steps), plain)
    report = last_report(model)
    assert any(note.startswith(words) for note in report.notes)
    assert set("".join(report.plans.values())) == {"C"}
    assert words.partition(": ")[2] in report.summary()


def test_what_fits_beside_what_does_not_reuses() -> None:
    model = attach(attach(toys.load("sd15"), TGate(9)), DeepCache(2, 0))
    alone = attach(toys.load("sd15"), DeepCache(2, 0))
    assert torch.equal(_sample(model, "sd15", 6), _sample(alone, "sd15", 6))
    report = last_report(model)
    assert report.total_reused > 0 and not report.idle
    assert any(note.startswith("TGATE Gate: gate_step 9 lies beyond") for note in report.notes)


def test_a_stage_that_is_shorter_than_the_schedule_computes() -> None:
    stage = {"start_step": 0, "last_step": 5, "force_full_denoise": False}
    model = attach(toys.load("wan"), SCHEDULE)
    plain = _sample(toys.load("wan"), "wan", 10, **stage)
    assert torch.equal(_sample(model, "wan", 10, **stage), plain)
    assert "the schedule is for 10 steps, this run has 5" in last_report(model).idle


@pytest.mark.parametrize(
    ("measured_by", "run", "words"),
    [
        ({"denoise": 0.4}, {}, "the run begins at noise level"),
        ({"last_step": 6}, {}, "the run goes on to noise level"),
        ({}, {"steps": 1}, "a run of 1 steps has nothing to reuse"),
    ],
)
def test_a_run_beyond_what_was_measured_computes(
    measured_by: dict[str, Any], run: dict[str, Any], words: str
) -> None:
    found = calibrate("wan", **{"steps": STEPS, **measured_by}).calibration
    model = attach(toys.load("wan"), CalibratedSmoothCache(found, Target("speedup", 1.5)))
    options = {"steps": STEPS, **run}
    assert torch.equal(
        _sample(model, "wan", **options), _sample(toys.load("wan"), "wan", **options)
    )
    report = last_report(model)
    assert report.idle.startswith(words)
    assert any(note.startswith(f"SmoothCache Schedule: {words}") for note in report.notes)
    assert report.predicted is None


def test_calibrating_one_step_measures_nothing_and_says_so() -> None:
    model = attach(toys.load("wan"), CALIBRATE)
    assert torch.equal(_sample(model, "wan", 1), _sample(toys.load("wan"), "wan", 1))
    assert last_calibration(model) is None
    assert last_report(model).notes == [NOTHING_TO_COMPARE]


def _step_by_step(model: Any, name: str, steps: int, tiles: int = 1) -> torch.Tensor:
    """Regional and tiled samplers: every step, and every tile in it, is a call of the sampler."""
    latents = [toys.TOYS[name].empty() for _ in range(tiles)]
    for step in range(steps):
        part = {"start_step": step, "last_step": step + 1, "disable_noise": step > 0}
        latents = [_sample(model, name, steps, latent=latent, **part) for latent in latents]
    return torch.cat(latents)


@pytest.mark.parametrize("tiles", [1, 2])
@pytest.mark.parametrize("method", ["FasterCache default", "TGate", "SmoothCache"])
def test_a_sampler_that_calls_for_each_step_is_recognised(method: str, tiles: int) -> None:
    model = attach(toys.load("wan"), EVERY[method])
    picture = _step_by_step(model, "wan", 4, tiles)
    assert torch.equal(picture, _step_by_step(toys.load("wan"), "wan", 4, tiles))
    assert STEP_BY_STEP in last_report(model).notes
    _sample(model, "wan", 1)
    assert STEP_BY_STEP not in last_report(model).notes


def _rest(model: Any) -> torch.Tensor:
    """A stage that is left nothing to do: the last part of a schedule that was split at its end."""
    (sigmas,) = custom.BasicScheduler.execute(model, "simple", 8, 1.0).result
    _, rest = custom.SplitSigmas.execute(sigmas, 8).result
    (guider,) = custom.CFGGuider.execute(model, *toys.conditioning("wan"), 4.0).result
    (noise,) = custom.DisableNoise.execute().result
    (sampler,) = custom.KSamplerSelect.execute("euler").result
    latent = {"samples": torch.ones(toys.TOYS["wan"].latent)}
    with torch.inference_mode():
        run = custom.SamplerCustomAdvanced.execute(noise, guider, sampler, rest, latent)
    return run.result[0]["samples"]


@pytest.mark.parametrize("method", [PAB(), TGate(4), CALIBRATE], ids=lambda method: method.name)
def test_a_run_of_no_step_hands_the_latent_on(method: Any) -> None:
    model, answers = observe.record_answers(attach(toys.load("wan"), method))
    assert torch.equal(_rest(model), _rest(toys.load("wan")))
    assert answers == []
    report = last_report(model)
    assert (report.steps, report.outcome) == (0, "finished")
    assert report.nothing_reused_because == NO_STEP
    assert NO_STEP in report.to_text()
    assert report.to_dict()["steps"] == 0


def test_a_run_of_no_step_leaves_nothing_behind() -> None:
    model = attach(toys.load("wan"), PAB(2, 1, 1, cases.WHOLE_RUN))
    picture = _sample(model, "wan", 4)
    _rest(model)
    assert torch.equal(_sample(model, "wan", 4), picture)
    assert installation_of(model).mailbox.report.total_reused > 0


def test_settings_of_pytorch_let_a_run_of_no_step_pass() -> None:
    model = apply(toys.load("wan"), Precision())
    assert torch.equal(_rest(model), _rest(toys.load("wan")))
    assert told_by(model) == ()


def test_a_run_of_no_step_by_the_hosts_own_sampler() -> None:
    host.skip_if_older("0.30.0", "a run of no step")
    plain = _sample(toys.load("wan"), "wan", 0, scheduler="normal")
    model = attach(toys.load("wan"), PAB())
    assert torch.equal(_sample(model, "wan", 0, scheduler="normal"), plain)
