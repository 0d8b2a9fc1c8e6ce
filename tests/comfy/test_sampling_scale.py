"""Of how much picture and noise latents are made, and which samplers add noise of their own."""

from __future__ import annotations

import inspect
import math
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import comfy.model_sampling as ms
import comfy.samplers
import pytest
import torch
from stepcache.cache_core.host.evaluation.added_noise import Landing, sort_of
from stepcache.cache_core.host.evaluation.sampling_scale import MAX_HALF_LOG_SNR, Scale, scale_at
from stepcache.cache_core.samplers import SORTS

SCALES = {
    # alpha and sigma at a noise level.
    "as it is": lambda level: (1.0, level),
    "flow": lambda level: (1.0 - level, level),
    "flow, loud": lambda level: (1.0 - level, 8.0 * level),
}
PREDICTIONS = {
    "EPS": "as it is", "V_PREDICTION": "as it is", "V_PREDICTION_DDPM": "as it is",
    "EDM": "as it is", "X0": "as it is", "IMG_TO_IMG": "as it is", "COSMOS_RFLOW": "as it is",
    "CONST": "flow",
}  # fmt: skip
WITHOUT_NOISE = {"IMG_TO_IMG_FLOW"}
"""The picture is what is given, and nothing is mixed in."""


def _sampling(prediction: str, schedule: str = "ModelSamplingDiscrete", **own: Any) -> Any:
    """As the host makes it for a model."""
    made = type("ModelSampling", (getattr(ms, schedule), getattr(ms, prediction)), {})()
    for name, value in own.items():
        setattr(made, name, value)
    return made


def test_every_kind_of_prediction_of_the_host_is_tried() -> None:
    found = {
        name
        for name, thing in vars(ms).items()
        if inspect.isclass(thing) and hasattr(thing, "noise_scaling")
    }
    assert found == PREDICTIONS.keys() | WITHOUT_NOISE


@pytest.mark.parametrize("level", [0.0, 1e-3, 0.25, 0.5, 0.999, 1.0])
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_latents_are_so_much_picture_and_noise(prediction: str, level: float) -> None:
    is_flow = PREDICTIONS[prediction] == "flow"
    schedule = "ModelSamplingDiscreteFlow" if is_flow else "ModelSamplingDiscrete"
    sampling = _sampling(prediction, schedule)
    expected = SCALES[PREDICTIONS[prediction]](level)
    assert scale_at(sampling, level) == pytest.approx(expected, rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("level", [0.0, 0.25, 1.0])
def test_noise_may_be_louder_than_one(level: float) -> None:
    sampling = _sampling("CONST", "ModelSamplingDiscreteFlow", noise_scale=8.0)
    assert scale_at(sampling, level) == pytest.approx(SCALES["flow, loud"](level), rel=1e-6)


@pytest.mark.parametrize("level", [2.0, 80.0, 500.0])
@pytest.mark.parametrize("schedule", ["ModelSamplingContinuousEDM", "ModelSamplingCosmosRFlow"])
def test_levels_may_be_far_above_one(schedule: str, level: float) -> None:
    prediction = "COSMOS_RFLOW" if "Cosmos" in schedule else "EDM"
    assert scale_at(_sampling(prediction, schedule), level) == pytest.approx((1.0, level))


def test_a_denoised_picture_lies_where_the_scale_says() -> None:
    """The host's own way from noise to latents and back, with a network that knows the truth."""
    picture, noise = torch.randn(2, 1, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    for prediction in PREDICTIONS.keys() - {"IMG_TO_IMG"}:
        sampling = _sampling(prediction)
        level = torch.tensor([0.7])
        alpha, sigma = scale_at(sampling, 0.7)
        x = sampling.noise_scaling(level, noise.clone(), picture.clone())
        torch.testing.assert_close(x, alpha * picture + sigma * noise)


def test_where_no_noise_is_mixed_in_there_is_picture_alone() -> None:
    scale = scale_at(_sampling("IMG_TO_IMG_FLOW"), 0.5)
    assert scale == (1.0, 0.0) and scale.half_log_snr == MAX_HALF_LOG_SNR


@pytest.mark.parametrize("level", [0.0, 0.3, 1.0])
def test_the_way_to_the_scale_touches_no_device_but_the_cpu(level: float) -> None:
    """Reading a number from another device would wait for it."""
    devices: list[torch.device] = []

    class Seen(ms.CONST):
        def noise_scaling(self, sigma: Any, noise: Any, latent_image: Any, *args: Any) -> Any:
            devices.extend(tensor.device for tensor in (sigma, noise, latent_image))
            return super().noise_scaling(sigma, noise, latent_image, *args)

    scale_at(Seen(), level)
    assert len(devices) == 3 and {device.type for device in devices} == {"cpu"}


@pytest.mark.parametrize(
    "answer", [-1.0, math.nan, math.inf, 0.0], ids=["negative", "no number", "endless", "neither"]
)
def test_latents_that_cannot_be_taken_apart_are_an_error(answer: float) -> None:
    strange = SimpleNamespace(noise_scaling=lambda *args: torch.full((2, 1), answer))
    with pytest.raises(ValueError, match="latents of"):
        scale_at(strange, 0.5)


@pytest.mark.parametrize(
    ("scale", "level"),
    [
        (Scale(1.0, 1.0), 0.0),
        (Scale(0.5, 0.25), math.log(2)),
        (Scale(0.0, 1.0), -MAX_HALF_LOG_SNR),
        (Scale(1.0, 0.0), MAX_HALF_LOG_SNR),
    ],
)
def test_the_level_is_a_number_at_both_ends(scale: Scale, level: float) -> None:
    assert scale.half_log_snr == pytest.approx(level)


# Samplers.


def _sort(name: str, **options: Any) -> str:
    made = (
        comfy.samplers.ksampler(name, options) if options else comfy.samplers.sampler_object(name)
    )
    return sort_of(made)


def test_every_sampler_of_the_host_is_of_a_known_sort() -> None:
    unknown = [name for name in comfy.samplers.SAMPLER_NAMES if _sort(name) == "unknown"]
    assert not unknown, "look at what they do, and add them to one of the lists"
    assert len(frozenset().union(*SORTS.values())) == sum(map(len, SORTS.values()))


@pytest.mark.parametrize("name", comfy.samplers.SAMPLER_NAMES)
def test_a_sampler_adds_noise_as_its_steps_show(name: str) -> None:
    """The names stand against what the sampler does: two seeds of the noise it draws."""
    if name == "dpm_adaptive":
        assert _sort(name) == "chooses its steps"
        return
    ends = [_drawn(name, seed) for seed in (1, 2)]
    is_told_apart = _sort(name) not in ("CFG++", "CFG++ of EPS")
    is_ode = _sort(name) != "adds noise" if is_told_apart else "ancestral" not in name
    assert is_ode == torch.equal(*ends)


def _drawn(name: str, seed: int) -> torch.Tensor:
    """The end of a run whose network always sees the same picture; noise is not of this seed."""
    sampling = _sampling("EPS")
    patcher = SimpleNamespace(get_model_object=lambda _: sampling)

    class Model:
        inner_model = SimpleNamespace(
            model_patcher=patcher,
            inner_model=SimpleNamespace(model_sampling=sampling),
            model_sampling=sampling,
        )

        def __call__(self, x: torch.Tensor, sigma: torch.Tensor, **options: Any) -> torch.Tensor:
            denoised = 0.9 * torch.tanh(x)
            # Those of CFG++ ask for the unconditional branch so.
            told = {"denoised": denoised, "uncond_denoised": denoised}
            for function in options["model_options"].get("sampler_post_cfg_function", ()):
                function(told)
            return denoised

    x = 5.0 * torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(seed)
    sampler = comfy.samplers.sampler_object(name)
    extra = {"seed": seed, "model_options": {}}
    return sampler.sampler_function(
        Model(), x, torch.tensor([5.0, 2.5, 1.2, 0.5, 0.1]), extra_args=extra, callback=None,
        disable=True, **sampler.extra_options,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "options", "sort"),
    [
        ("euler_ancestral", {"eta": 0.0}, "multistep"),
        ("euler_ancestral", {"eta": 0.5}, "adds noise"),
        ("dpmpp_2m_sde", {"eta": 1.0, "s_noise": 0.0}, "multistep"),
        ("er_sde", {"s_noise": 0.0}, "multistep"),
        # All its noise is exchanged, whatever it is multiplied by.
        ("lcm", {"s_noise": 0.0}, "adds noise"),
        ("euler", {"s_churn": 5.0}, "adds noise"),
        ("euler", {"s_churn": 0.0}, "one step"),
        ("heun", {"s_churn": 1.0, "s_noise": 1.0}, "adds noise"),
        ("uni_pc", {}, "multistep"),
        ("ddim", {}, "one step"),
    ],
)
def test_options_turn_noise_on_and_off(name: str, options: dict[str, Any], sort: str) -> None:
    assert _sort(name, **options) == sort


@pytest.mark.parametrize("sampler", [None, "euler", SimpleNamespace(extra_options=None), object()])
def test_a_sampler_of_somebody_else_is_unknown(sampler: Any) -> None:
    assert sort_of(sampler) == "unknown"


# Where steps lead.

FLOW, PLAIN = "flow", "as it is"
LEVELS = {FLOW: (1.0, 0.8, 0.55, 0.3, 0.1), PLAIN: (14.6, 6.0, 2.5, 1.0, 0.2)}


def _walk(kind: str, added: float) -> list[bool]:
    """Euler's steps through a network that sharpens; a share of the noise is exchanged in each.

    Returns:
        For every step whether it was found to hold noise that was not there.
    """
    generator = torch.Generator().manual_seed(3)
    scales = [Scale(*SCALES[kind](level)) for level in LEVELS[kind]]
    x = scales[0].sigma * torch.randn(1, 4, 16, 16, generator=generator)
    found: list[bool] = []
    for now, then in pairwise(scales):
        denoised = torch.tanh(x)
        noise = (x - now.alpha * denoised) / now.sigma
        fresh = torch.randn(x.shape, generator=generator)
        mixed = math.sqrt(1 - added**2) * noise + added * fresh
        landed = then.alpha * denoised + then.sigma * mixed
        found.append(Landing(x, denoised, now).misses(landed, then))
        x = landed
    return found


@pytest.mark.parametrize("kind", [FLOW, PLAIN])
def test_a_step_without_noise_lands_where_it_should(kind: str) -> None:
    assert not any(_walk(kind, 0.0))


@pytest.mark.parametrize("kind", [FLOW, PLAIN])
def test_a_step_that_exchanges_its_noise_does_not(kind: str) -> None:
    assert all(_walk(kind, 1.0))


@pytest.mark.parametrize("kind", [FLOW, PLAIN])
def test_rounding_in_half_precision_is_no_noise(kind: str) -> None:
    now, then = (Scale(*SCALES[kind](level)) for level in LEVELS[kind][1:3])
    x = now.sigma * torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(3))
    denoised = torch.tanh(x)
    noise = (x - now.alpha * denoised) / now.sigma
    landed = (then.alpha * denoised + then.sigma * noise).half()
    landing = Landing(x.half(), denoised.half(), now)
    assert not landing.misses(landed, then)


def test_a_level_that_is_met_again_exchanges_nothing() -> None:
    scale = Scale(0.5, 0.5)
    x = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(3))
    assert not Landing(x, torch.tanh(x), scale).misses(x, scale)
