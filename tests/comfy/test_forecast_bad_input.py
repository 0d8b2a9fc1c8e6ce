"""The forecast in runs that are too short, too odd or broken: computed, and told why."""

from __future__ import annotations

from typing import Any

import comfy.sample
import comfy.samplers
import observe
import pytest
import torch
import toys
from comfy.model_management import InterruptProcessingException
from comfy.patcher_extension import WrappersMP
from stepcache.cache_core.decisions import NOT_LATER
from stepcache.cache_core.host import attach, last_report
from stepcache.cache_core.host.remarks import ONE_STEP
from stepcache.cache_core.methods import StepCache

from demo.shapes import captions, scenes

NAME = "shapes_dit"
CONDS = ([[captions.encode(scenes.EXAMPLE), {}]], [[captions.encode(""), {}]])


def _sample(model: Any, **options: Any) -> torch.Tensor:
    return toys.sample(model, NAME, **{"conds": CONDS, "cfg": 2.0, **options})


def _along(model: Any, sigmas: list[float], callback: Any = None) -> torch.Tensor:
    """A run over noise levels of one's own, which follows the ODE."""
    latent = toys.TOYS[NAME].empty()
    noise = comfy.sample.prepare_noise(latent, 1)
    euler = comfy.samplers.sampler_object("euler")
    with torch.inference_mode():
        return comfy.sample.sample_custom(
            model, noise, 2.0, euler, torch.tensor(sigmas), *CONDS, latent, disable_pbar=True,
            seed=1, callback=callback,
        )  # fmt: skip


def _even(first: float, last: float, steps: int) -> list[float]:
    return [first + (last - first) * step / steps for step in range(steps + 1)]


def _apart(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Root mean square of the difference, in standard deviations of what was expected."""
    return float((found - expected).square().mean().sqrt() / expected.std())


def test_a_speed_beyond_the_steps_is_told_in_the_report() -> None:
    model = attach(toys.load(NAME), StepCache(5.0))
    assert torch.isfinite(_sample(model, steps=4)).all()
    report = last_report(model)
    assert report.strip_of("evaluation") == report.plans["evaluation"] == "CCRC"
    assert "3 of these 4 steps have to run the model, so that at most 1.33" in report.to_text()


@pytest.mark.parametrize(("steps", "words"), [(1, ONE_STEP), (2, "too short"), (3, "too short")])
def test_a_run_that_is_too_short_computes_and_says_so(steps: int, words: str) -> None:
    model = attach(toys.load(NAME), StepCache(2.0))
    assert torch.equal(_sample(model, steps=steps), _sample(toys.load(NAME), steps=steps))
    report = last_report(model)
    assert report.total_reused == 0
    assert words in report.nothing_reused_because
    assert words in report.to_text()


ODD = {
    "every level twice": [sigma for sigma in _even(1.0, 0.0, 12)[:-1] for _ in range(2)] + [0.0],
    "some levels three times": [1.0, 0.9, *[0.8] * 3, 0.7, 0.6, 0.5, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0],
    "back to more noise": _even(1.0, 0.3, 10) + _even(0.7, 0.0, 10),
    "back twice": _even(1.0, 0.5, 6) + _even(0.8, 0.4, 6) + _even(0.6, 0.0, 8),
    "noise is left": _even(1.0, 0.4, 12),
    "from the middle": _even(0.6, 0.0, 12),
    "one large step": [*_even(1.0, 0.7, 8), *_even(0.2, 0.0, 6)],
}  # fmt: skip


@pytest.mark.parametrize("case", ODD)
def test_odd_levels_reuse_where_they_fall_and_stay_near(case: str) -> None:
    model = attach(toys.load(NAME), StepCache(2.0))
    found, plain = _along(model, ODD[case]), _along(toys.load(NAME), ODD[case])
    report = last_report(model)
    assert _apart(found, plain) < 0.1
    assert report.total_reused > 0


@pytest.mark.parametrize(
    ("levels", "words"),
    [([1e-4, *_even(0.1, 1.0, 9)], NOT_LATER), ([0.5] * 10, "visited none of the steps")],
    ids=["rise", "stay"],
)
def test_levels_that_never_fall_are_computed_and_it_says_why(
    levels: list[float], words: str
) -> None:
    """As FlipSigmas hands them on, to take a picture back to its noise; and all of them one."""
    model = attach(toys.load(NAME), StepCache(2.0))
    assert torch.equal(_along(model, levels), _along(toys.load(NAME), levels))
    assert words in str(last_report(model).nothing_reused_because)


def test_a_run_that_is_stopped_leaves_nothing() -> None:
    model = attach(toys.load(NAME), StepCache(2.0))
    levels = _even(1.0, 0.0, 10)
    first = _along(model, levels)
    with pytest.raises(InterruptProcessingException):
        _along(model, levels, callback=observe.cancelling(5))
    assert last_report(model).outcome == "interrupted"
    assert observe.stored_bytes() == 0
    assert torch.equal(_along(model, levels), first)


@pytest.mark.parametrize("sampler", ["euler", "euler_ancestral"])
def test_latents_that_are_no_numbers_stay_none_and_harm_no_later_run(sampler: str) -> None:
    model = attach(toys.load(NAME), StepCache(2.0))
    before = _sample(model, steps=8, sampler=sampler)
    latent = toys.TOYS[NAME].empty()
    latent[0, 0, 0, 0, 0] = float("nan")
    assert torch.isnan(_sample(model, steps=8, sampler=sampler, latent=latent)).any()
    assert last_report(model).outcome == "finished"
    assert torch.equal(_sample(model, steps=8, sampler=sampler), before)


@pytest.mark.parametrize("step", [1, 3])
def test_an_answer_that_is_no_number_spoils_no_less_than_without_us(step: int) -> None:
    """A half-precision model that overflowed once: the picture is lost, and is not made up."""

    def overflow(executor: Any, x: torch.Tensor, sigma: torch.Tensor, *args: Any) -> torch.Tensor:
        answer = executor(x, sigma, *args)
        is_time = (
            args[0]["transformer_options"]["sample_sigmas"] - sigma[0]
        ).abs().argmin() == step
        return answer * float("nan") if is_time else answer

    model = attach(toys.load(NAME), StepCache(2.0))
    model.add_wrapper_with_key(WrappersMP.PREDICT_NOISE, "overflows", overflow)
    assert torch.isnan(_along(model, _even(1.0, 0.0, 8))).all()
    assert last_report(model).outcome == "finished"
