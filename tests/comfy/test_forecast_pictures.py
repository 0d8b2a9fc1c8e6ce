"""The forecast on trained models, under other guiders and conditions: nearer than fewer steps."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import comfy.samplers
import companions
import host
import pytest
import torch
import toys
from comfy_extras import nodes_custom_sampler as custom
from comfy_extras import nodes_perpneg
from runtime_sampling import like
from stepcache.cache_core.decisions import NOT_STORED, TOO_OLD
from stepcache.cache_core.host import attach, last_report
from stepcache.cache_core.methods import StepCache

import nodes
from demo.shapes import captions, scenes

STEPS = 16
DIT, UNET = "shapes_dit", "shapes_unet"
BOTH = (DIT, UNET)
FORCED = frozenset({NOT_STORED, TOO_OLD})
"""Where prompts or windows change."""
Draw = Callable[[Any, str, int], torch.Tensor]


def _conds(text: str) -> list:
    return [[captions.encode(text), {}]]


def _pair() -> tuple[list, list]:
    return _conds(scenes.EXAMPLE), _conds("")


def _other() -> list:
    return _conds("a small blue triangle on the left on a white ground")


def _beside(companion: str) -> Draw:
    """With somebody else's node, on real prompts."""
    one = next(c for c in companions.COMPANIONS if c.name == companion)

    def draw(model: Any, name: str, steps: int) -> torch.Tensor:
        torch.manual_seed(0)
        options = {"latent": companions.empty(name), "cfg": 2.0, **one.options(name)}
        conds = one.change(_pair(), name)
        return toys.sample(one.patch(model), name, steps=steps, conds=conds, **options)

    return draw


def _sampled(**options: Any) -> Draw:
    return lambda model, name, steps: toys.sample(
        model, name, conds=_pair(), **{"steps": steps, "cfg": 2.0, **options}
    )


def _guided(make: Callable[[Any], Any]) -> Draw:
    """One run through SamplerCustomAdvanced."""

    def draw(model: Any, name: str, steps: int) -> torch.Tensor:
        (noise,) = host.outputs_of(custom.RandomNoise.execute(1))
        (sampler,) = host.outputs_of(custom.KSamplerSelect.execute("dpmpp_2m"))
        (sigmas,) = host.outputs_of(custom.BasicScheduler.execute(model, "simple", steps, 1.0))
        latent = {"samples": toys.TOYS[name].empty()}
        with torch.inference_mode():
            made = custom.SamplerCustomAdvanced.execute(noise, make(model), sampler, sigmas, latent)
        return host.outputs_of(made)[0]["samples"]

    return draw


def _dual(model: Any, style: str) -> Any:
    positive, negative = _pair()
    made = custom.DualCFGGuider.execute(model, positive, _other(), negative, 2.0, 1.5, style)
    return host.outputs_of(made)[0]


def _perp_neg(model: Any) -> Any:
    positive, negative = _pair()
    made = nodes_perpneg.PerpNegGuider.execute(model, positive, _other(), negative, 2.0, 0.5)
    return host.outputs_of(made)[0]


@cache
def _second(network: Any) -> Any:
    """Another model of the same class, a little other in all its weights."""
    name = next(n for n in BOTH if toys.load(n).model.diffusion_model is network)
    model = toys.TOYS[name].make()
    with torch.no_grad():
        for parameter in model.model.diffusion_model.parameters():
            parameter.mul_(0.99)
    return model


def _two_models(model: Any) -> Any:
    positive, negative = _pair()
    kind = host.node("nodes_custom_sampler", "DualModelGuider")
    weaker = _second(model.model.diffusion_model)
    return kind.execute(model, positive, 2.0, weaker, negative).result[0]


class ThreeModels(comfy.samplers.CFGGuider):
    """Guides one model by two others, and asks them in another order every time."""

    others: tuple[Any, ...] = ()
    evaluations = 0

    def predict_noise(
        self, x: torch.Tensor, timestep: Any, model_options: Any = None, seed: Any = None
    ) -> torch.Tensor:
        self.evaluations += 1
        networks = [self.inner_model, *(other.model for other in self.others)]
        shift = self.evaluations % 3
        said = {
            network: comfy.samplers.calc_cond_batch(
                network, [self.conds["positive"]], x, timestep, model_options
            )[0]
            for network in networks[shift:] + networks[:shift]
        }
        first, second, third = (said[network] for network in networks)
        return first + 2.0 * (first - second) + (first - third)


def _three_models(model: Any, name: str, steps: int) -> torch.Tensor:
    guider = ThreeModels(model)
    guider.set_conds(*_pair())
    guider.others = (_second(model.model.diffusion_model), toys.TOYS[name].make())
    for other in guider.others:
        other.pre_run()
    try:
        return _guided(lambda _: guider)(model, name, steps)
    finally:
        for other in guider.others:
            other.cleanup()


def _stages(model: Any, name: str, steps: int, other: bool) -> torch.Tensor:
    """Two KSampler (Advanced), the second with another model where there is one."""
    sampler = nodes.KSamplerAdvanced()
    whole = (steps, 2.0, "euler", "simple", *_pair())
    latent = {"samples": toys.TOYS[name].empty()}
    second = like(model, _second(model.model.diffusion_model)) if other else model
    with torch.inference_mode():
        (latent,) = sampler.sample(model, "enable", 1, *whole, latent, 0, steps // 2, "enable")
        (latent,) = sampler.sample(second, "disable", 1, *whole, latent, steps // 2, 999, "disable")
    return latent["samples"]


def _half_denoised(model: Any, name: str, steps: int) -> torch.Tensor:
    """Image to image: half of the noise, upon a picture that the model drew."""
    picture = _drawn(name)
    return toys.sample(
        model, name, steps=steps, cfg=2.0, conds=(_other(), _conds("")), latent=picture, denoise=0.5
    )


@cache
def _drawn(name: str) -> torch.Tensor:
    return _sampled()(toys.load(name), name, STEPS)


# On both models where noise levels have a part in it: lists of a guider are no affair of theirs.
WAYS: dict[str, tuple[Draw, tuple[str, ...]]] = {
    "CFG": (_sampled(), BOTH),
    "CFG 1": (_sampled(cfg=1.0), (DIT,)),
    "batch of three": (_sampled(batch=3), (DIT,)),
    "CFG++": (_sampled(sampler="euler_cfg_pp", cfg=1.0), BOTH),
    "DualCFGGuider": (_guided(partial(_dual, style="regular")), (DIT,)),
    "DualCFGGuider, nested": (_guided(partial(_dual, style="nested")), (DIT,)),
    "DualModelGuider": (_guided(_two_models), (DIT,)),
    "three models": (_three_models, (DIT,)),
    "PerpNegGuider": (_guided(_perp_neg), (DIT,)),
    "RescaleCFG": (_beside("rescaled guidance"), (DIT,)),
    "PAG": (_beside("perturbed attention"), (UNET,)),
    "SAG": (_beside("self-attention guidance"), (UNET,)),
    "SLG": (_beside("skip-layer guidance"), (DIT,)),
    "NAG": (_beside("normalized attention guidance"), (UNET,)),
    "areas": (_beside("area prompt"), (DIT,)),
    "masks": (_beside("masked prompt"), (DIT,)),
    "prompt schedule": (_beside("prompt scheduling"), (DIT,)),
    "negative prompt schedule": (_beside("negative prompt scheduling"), (DIT,)),
    "windows": (_beside("context windows"), (DIT,)),
    "moving windows": (_beside("moving context windows"), (DIT,)),
    "inpainting": (_beside("noise mask"), BOTH),
    "differential diffusion": (_beside("differential diffusion"), BOTH),
    "half denoise": (_half_denoised, BOTH),
    "two samplers": (partial(_stages, other=False), BOTH),
    "two models, one after the other": (partial(_stages, other=True), (DIT,)),
}


def _apart(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Root mean square of the difference, in standard deviations of what was expected."""
    return float((found - expected).square().mean().sqrt() / expected.std())


@pytest.mark.parametrize(
    ("way", "name"), [pytest.param(w, n, id=f"{w}-{n}") for w, (_, ns) in WAYS.items() for n in ns]
)
def test_the_picture_is_nearer_than_that_of_half_the_steps(way: str, name: str) -> None:
    draw, _ = WAYS[way]
    plain = draw(toys.load(name), name, STEPS)
    cached = attach(toys.load(name), StepCache(2.0))
    found = draw(cached, name, STEPS)
    fewer = draw(toys.load(name), name, STEPS // 2)
    report = last_report(cached)
    assert report.total_reused > 0
    assert {reason for _, reason in report.forced} <= FORCED
    assert _apart(found, plain) < _apart(fewer, plain)
