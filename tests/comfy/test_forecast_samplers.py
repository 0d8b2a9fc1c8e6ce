"""The forecast under samplers of other packs, off the schedule, and one that chooses its steps."""

from __future__ import annotations

from functools import cache
from typing import Any

import comfy.sample
import comfy.samplers
import pytest
import torch
import toys
from foreign_samplers import res_2s
from stepcache.cache_core.decisions import NO_ALPHA, OWN_STEPS
from stepcache.cache_core.host import attach, last_report
from stepcache.cache_core.methods import StepCache
from stepcache.cache_core.samplers import SORTS

from demo.shapes import captions, scenes

STEPS = 16
MODELS = ("shapes_dit", "shapes_unet")
"""The trained ones: with random weights there is no picture to be near to."""
ADDED = "the sampler's steps lead elsewhere than without noise"


@cache
def _conds() -> tuple[list, list]:
    text = scenes.EXAMPLE
    return [[captions.encode(text), {}]], [[captions.encode(""), {}]]


def _sigmas(model: Any, steps: int = STEPS, scheduler: str = "simple") -> torch.Tensor:
    sampling = model.get_model_object("model_sampling")
    return comfy.samplers.calculate_sigmas(sampling, scheduler, steps)


def _drawn(model: Any, name: str, sampler: Any, sigmas: torch.Tensor) -> torch.Tensor:
    latent = toys.TOYS[name].empty()
    noise = comfy.sample.prepare_noise(latent, 1)
    if isinstance(sampler, str):
        sampler = comfy.samplers.sampler_object(sampler)
    with torch.inference_mode():
        return comfy.sample.sample_custom(
            model, noise, 2.0, sampler, sigmas, *_conds(), latent, disable_pbar=True, seed=1
        )


def _apart(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Root mean square of the difference, in standard deviations of what was expected."""
    return float((found - expected).square().mean().sqrt() / expected.std())


@pytest.mark.parametrize("name", MODELS)
def test_an_unknown_sampler_off_the_schedule_is_followed_if_it_adds_no_noise(name: str) -> None:
    model = toys.load(name)
    plain = _drawn(model, name, res_2s(), _sigmas(model))
    cached = attach(model, StepCache(2.0))
    assert _apart(_drawn(cached, name, res_2s(), _sigmas(model)), plain) < 0.1
    report = last_report(cached)
    assert report.sampler == "res_2s_of_another_pack"
    assert not any(ADDED in note for note in report.notes)
    assert report.strip_of("evaluation").count("R") == STEPS // 2
    assert not report.forced


@pytest.mark.parametrize("eta", [0.3, 0.5, 1.0])
@pytest.mark.parametrize("name", MODELS)
def test_an_unknown_sampler_that_adds_noise_is_found_by_measurement(name: str, eta: float) -> None:
    model = toys.load(name)
    plain = _drawn(model, name, res_2s(eta), _sigmas(model))
    cached = attach(model, StepCache(2.0))
    found = _drawn(cached, name, res_2s(eta), _sigmas(model))
    report = last_report(cached)
    assert any(ADDED in note for note in report.notes)
    assert report.total_reused > 0
    noise = attach(model, StepCache(2.0, carried="noise"))
    assert _apart(found, plain) < _apart(_drawn(noise, name, res_2s(eta), _sigmas(model)), plain)


@pytest.mark.parametrize("name", MODELS)
def test_a_sampler_that_chooses_its_steps_computes_and_says_why(name: str) -> None:
    model = toys.load(name)
    sigmas = _sigmas(model, 6)
    plain = _drawn(model, name, "dpm_adaptive", sigmas)
    cached = attach(model, StepCache(2.0))
    assert torch.equal(_drawn(cached, name, "dpm_adaptive", sigmas), plain)
    report = last_report(cached)
    assert report.total_reused == 0
    assert OWN_STEPS in report.nothing_reused_because


@pytest.mark.parametrize("sampler", sorted(SORTS["CFG++ of EPS"]))
def test_cfg_pp_without_alpha_computes_on_a_flow_model_and_says_why(sampler: str) -> None:
    model = toys.load("shapes_dit")
    sigmas = _sigmas(model, 6)
    plain = _drawn(model, "shapes_dit", sampler, sigmas)
    cached = attach(model, StepCache(2.0))
    assert torch.equal(_drawn(cached, "shapes_dit", sampler, sigmas), plain)
    report = last_report(cached)
    assert report.total_reused == 0
    assert NO_ALPHA in report.nothing_reused_because


OF_EPS = [("shapes_unet", sampler) for sampler in sorted(SORTS["CFG++ of EPS"])]


@pytest.mark.parametrize(
    ("name", "sampler"), [*((name, "euler_cfg_pp") for name in MODELS), *OF_EPS]
)
def test_with_cfg_pp_the_picture_is_carried(name: str, sampler: str) -> None:
    model = toys.load(name)
    sigmas = _sigmas(model, 8)
    cached = attach(model, StepCache(2.0))
    found = _drawn(cached, name, sampler, sigmas)
    report = last_report(cached)
    assert any("the sampler guides by CFG++" in note for note in report.notes)
    assert report.total_reused > 0 and not report.forced
    told = attach(model, StepCache(2.0, carried="denoised"))
    assert torch.equal(_drawn(told, name, sampler, sigmas), found)
