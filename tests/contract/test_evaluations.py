"""Whole evaluations that are answered: what holds for them besides the laws of every method."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import cases
import comfy.sample
import comfy.samplers
import observe
import pytest
import torch
import toys
from comfy.ldm.depth_anything_3.model import DepthAnything3Net
from comfy.patcher_extension import WrappersMP
from foreign import of_no_family
from stepcache.cache_core.approximators import Forecast
from stepcache.cache_core.decisions import NOT_LATER, NOT_STORED, OWN_STEPS
from stepcache.cache_core.errors import StepCacheError, UnsupportedModelError
from stepcache.cache_core.host import attach, last_report
from stepcache.cache_core.host.evaluation.evaluations import JOINS_STEPS
from stepcache.cache_core.methods import PAB, DeepCache, FasterCache, SmoothCache, StepCache, TGate
from stepcache.cache_core.rules import Rule
from stepcache.cache_core.sites import SiteKind
from torch import nn

STEPS = 8
TWICE = StepCache(2.0)
EVALUATION = "evaluation"
PAIR = ("shapes_unet", "shapes_dit")


@pytest.mark.parametrize(
    "case", [case for case in cases.CASES if case.method == "StepCache"], ids=str
)
def test_law_2_noise_that_stays_the_same_is_forecast_as_it_is(case: cases.Case) -> None:
    plain = toys.sample(observe.hold_noise_still(toys.load(case.model)), case.model)
    patched = attach(toys.load(case.model), case.reusing())
    picture = toys.sample(observe.hold_noise_still(patched), case.model)
    assert last_report(patched).total_reused > 0
    # Taking the noise out and putting it in again is rounded to 2^-24 of the latents, which are up
    # to 32 times as large as the picture; a line makes that up to 17 times as much.
    close = 17 * 32 * 2**-24 * plain.abs().max().item()
    assert (picture - plain).abs().max().item() <= close


COMBINATIONS: dict[str, tuple[tuple[Any, ...], tuple[str, ...]]] = {
    "DeepCache": ((DeepCache(2, 1),), ("sd15",)),
    "PAB": ((PAB(2, 1, 3, cases.WHOLE_RUN),), ("sd15", "wan")),
    "PAB blocks": ((PAB(block=2, window=cases.WHOLE_RUN),), ("sd15", "wan")),
    "SmoothCache": (
        (SmoothCache(((SiteKind.SELF_ATTENTION, None, (True, False) * 4),)),), ("sd15", "wan"),
    ),
    "T-GATE": ((TGate(4, 0, 1, 1),), ("sd15", "wan")),
    "FasterCache": (
        (FasterCache(2, 2, 2, attention_window=cases.WHOLE_RUN, guidance_interval=2,
                     guidance_window=cases.WHOLE_RUN),), ("sd15", "wan", "flux"),
    ),
    "T-GATE and DeepCache": ((TGate(4, 0, 1, 1), DeepCache(2, 1)), ("sd15",)),
}  # fmt: skip
TABLE = [
    pytest.param(methods, name, id=f"{label}-{name}")
    for label, (methods, names) in COMBINATIONS.items()
    for name in names
]


@pytest.mark.parametrize(("methods", "name"), TABLE)
def test_law_5_counts_equal_the_plan_beside_other_methods(
    methods: tuple[Any, ...], name: str
) -> None:
    pictures: list[torch.Tensor] = []
    for order in ((TWICE, *methods), (*methods, TWICE)):
        patched = toys.load(name)
        for method in order:
            patched = attach(patched, method)
        pictures.append(toys.sample(patched, name, steps=STEPS))
        report = observe.report_of(patched)
        assert not report.forced
        for kind, plan in report.plans.items():
            assert report.strip_of(kind) == plan, kind
        skipped = [letter == "R" for letter in report.plans[EVALUATION]]
        others = [plan for kind, plan in report.plans.items() if kind != EVALUATION]
        assert all([letter == "." for letter in plan] == skipped for plan in others)
        assert sum("R" in plan for plan in report.plans.values()) > len(methods)
        _agrees_with_its_counts(report)
    assert torch.equal(*pictures)
    alone = toys.sample(attach(toys.load(name), TWICE), name, steps=STEPS)
    assert not torch.equal(alone, pictures[0])
    assert observe.stored_bytes() == 0


def _agrees_with_its_counts(report: Any) -> None:
    """Of an evaluation every list of prompts is counted, of guidance both together."""
    guidance = report.plans.get("guidance", "C" * report.steps)
    streams = [1 if letter == "R" else 2 for letter in guidance]
    asked = {EVALUATION: [2] * report.steps, "guidance": [1] * report.steps}
    # A deep branch that is reused does not ask the layers in it.
    has_deep_branch = "deep_branch" in report.plans
    for kind, plan in report.plans.items():
        if "P" in plan or (has_deep_branch and kind not in asked):
            continue
        per_site = {
            (report.computed[kind, step] + report.reused[kind, step]) / count
            for step, (letter, count) in enumerate(zip(plan, asked.get(kind, streams), strict=True))
            if letter != "."
        }
        assert len(per_site) == 1, (kind, per_site)
        assert kind not in asked or per_site == {1}


def test_where_the_evaluation_is_reused_nothing_of_the_network_runs() -> None:
    calls: list[int] = []

    def count(executor: Any, *args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        return executor(*args, **kwargs)

    patched = attach(toys.load("wan"), TWICE)
    patched.add_wrapper_with_key(WrappersMP.APPLY_MODEL, "count", count)
    with observe.memory_for(lambda: True):
        toys.sample(patched, "wan", steps=STEPS)
    assert len(calls) == observe.report_of(patched).strip_of(EVALUATION).count("C") == 4


# Samplers.


@pytest.mark.parametrize("name", PAIR)
@pytest.mark.parametrize(
    "sampler", ["euler_ancestral", "dpmpp_2m_sde", "lcm", "ddpm", "er_sde", "sa_solver"]
)
def test_where_the_sampler_adds_noise_the_picture_is_carried(sampler: str, name: str) -> None:
    patched = attach(toys.load(name), TWICE)
    first = toys.sample(patched, name, steps=STEPS, sampler=sampler)
    report = observe.report_of(patched)
    assert report.outcome == "finished" and report.strip_of(EVALUATION) == report.plans[EVALUATION]
    assert any("the sampler adds noise" in note for note in report.notes)
    carried = attach(toys.load(name), StepCache(2.0, carried="denoised"))
    assert torch.equal(toys.sample(carried, name, steps=STEPS, sampler=sampler), first)
    assert not any("adds noise" in note for note in observe.report_of(carried).notes)
    assert observe.stored_bytes() == 0


@pytest.mark.parametrize(
    ("sampler", "what"),
    [
        ("euler", Forecast("noise")),
        ("heun", Forecast("noise")),
        ("dpmpp_2m", Forecast("denoised", 0.5, 0.5, damps=True)),
        ("uni_pc", Forecast("denoised", 0.5, 0.5, damps=True)),
    ],
)
def test_where_steps_go_on_from_several_answers_the_picture_is_carried(
    sampler: str, what: Forecast
) -> None:
    patched = attach(toys.load("wan"), TWICE)
    found = toys.sample(patched, "wan", steps=STEPS, sampler=sampler)
    assert (JOINS_STEPS in observe.report_of(patched).notes) == (what.carried == "denoised")
    told = attach(toys.load("wan"), Told(2.0, what=what))
    assert torch.equal(toys.sample(told, "wan", steps=STEPS, sampler=sampler), found)


@dataclass(frozen=True, slots=True)
class Told(StepCache):
    """Step Cache with a forecast that no sampler changes."""

    what: Forecast | None = None

    def rules(self) -> tuple[Rule, ...]:
        return tuple(replace(rule, what=self.what) for rule in StepCache.rules(self))


def _own_sampler(added: float) -> Any:
    """Somebody's Euler, which exchanges so much of its noise."""

    def sample_of_my_own(
        model: Any, x: torch.Tensor, sigmas: torch.Tensor, extra_args: Any, callback: Any,
        disable: Any,
    ) -> torch.Tensor:  # fmt: skip
        generator = torch.Generator().manual_seed(7)
        for now, then in pairwise(sigmas):
            denoised = model(x, now * x.new_ones(x.shape[0]), **extra_args)
            noise = (x - denoised) / now
            fresh = torch.randn(x.shape, generator=generator)
            x = denoised + then * ((1 - added**2) ** 0.5 * noise + added * fresh)
        return x

    return comfy.samplers.KSAMPLER(sample_of_my_own)


def _sampled(patched: Any, name: str, sampler: Any) -> torch.Tensor:
    positive, negative = toys.conditioning(name)
    latent = torch.zeros(toys.TOYS[name].latent)
    noise = comfy.sample.prepare_noise(latent, 1)
    sampling = patched.get_model_object("model_sampling")
    sigmas = comfy.samplers.calculate_sigmas(sampling, "simple", STEPS)
    with torch.inference_mode():
        return comfy.sample.sample_custom(
            patched, noise, 3.0, sampler, sigmas, positive, negative, latent, disable_pbar=True
        )


@pytest.mark.parametrize(("added", "is_noted"), [(0.0, False), (1.0, True)])
def test_a_sampler_that_nobody_knows_is_watched(added: float, is_noted: bool) -> None:
    patched = attach(toys.load("shapes_unet"), TWICE)
    first = _sampled(patched, "shapes_unet", _own_sampler(added))
    report = observe.report_of(patched)
    assert any("lead elsewhere" in note for note in report.notes) == is_noted
    # What was stored before the first step was seen is noise, and the past begins anew.
    assert report.total_reused > 0
    assert {reason for _, reason in report.forced} <= {NOT_STORED}
    assert bool(report.forced) == is_noted
    assert torch.equal(_sampled(patched, "shapes_unet", _own_sampler(added)), first)


def test_an_adaptive_sampler_is_never_given_a_forecast() -> None:
    patched = attach(toys.load("shapes_dit"), TWICE)
    plain = toys.sample(toys.load("shapes_dit"), "shapes_dit", sampler="dpm_adaptive")
    assert torch.equal(toys.sample(patched, "shapes_dit", sampler="dpm_adaptive"), plain)
    report = observe.report_of(patched)
    assert OWN_STEPS in str(report.nothing_reused_because)
    assert {reason for _, reason in report.forced} == {OWN_STEPS}


@pytest.mark.parametrize("name", PAIR)
def test_levels_that_do_not_fall_are_computed(name: str) -> None:
    patched = attach(toys.load(name), TWICE)
    positive, negative = toys.conditioning(name)
    latent = torch.zeros(toys.TOYS[name].latent)
    # One is met twice, and 0.95 comes behind 0.9, which was the last to compute.
    levels = torch.tensor([1.0, 0.9, 0.8, 0.95, 0.5, 0.5, 0.2, 0.1, 0.0])
    with torch.inference_mode():
        picture = comfy.sample.sample_custom(
            patched, comfy.sample.prepare_noise(latent, 1), 3.0,
            comfy.samplers.ksampler("euler"), levels, positive, negative, latent,
            disable_pbar=True,
        )  # fmt: skip
    assert torch.isfinite(picture).all()
    report = observe.report_of(patched)
    assert {reason for _, reason in report.forced} == {NOT_LATER}
    assert report.strip_of(EVALUATION)[3] == "C" and report.plans[EVALUATION][3] == "R"


@pytest.mark.parametrize("denoise", [0.3, 0.5, 0.8])
@pytest.mark.parametrize("name", PAIR)
def test_half_a_run_is_forecast_as_a_whole_one(name: str, denoise: float) -> None:
    patched = attach(toys.load(name), TWICE)
    latent = torch.randn(toys.TOYS[name].latent, generator=torch.Generator().manual_seed(2))
    picture = toys.sample(patched, name, steps=STEPS, latent=latent, denoise=denoise)
    report = observe.report_of(patched)
    assert torch.isfinite(picture).all()
    assert not report.forced and report.strip_of(EVALUATION).count("C") == 4


# Models.


def test_a_network_of_no_known_family_is_forecast_too() -> None:
    model = of_no_family()
    plain = toys.sample(model, "sd15", steps=STEPS)
    marks = observe.fingerprint(model)
    assert torch.equal(toys.sample(attach(model, StepCache(1.0)), "sd15", steps=STEPS), plain)
    patched = attach(model, TWICE)
    picture = toys.sample(patched, "sd15", steps=STEPS)
    report = observe.report_of(patched)
    assert torch.isfinite(picture).all() and not torch.equal(picture, plain)
    assert list(report.plans) == [EVALUATION]
    assert report.strip_of(EVALUATION) == report.plans[EVALUATION]
    assert report.to_dict()["layers"] == {}
    assert f"{TWICE.describe()} on an unknown family (BaseModel): reused" in report.to_text()
    assert report.to_json() and report.summary()
    assert not report.forced
    assert observe.fingerprint(model) == marks
    assert torch.equal(toys.sample(patched, "sd15", steps=STEPS), picture)


@pytest.mark.parametrize("method", [PAB(), DeepCache(), FasterCache(), TGate()])
def test_what_needs_layers_is_refused_there_and_named_the_node_that_works(method: Any) -> None:
    for model in (of_no_family(), attach(of_no_family(), TWICE)):
        with pytest.raises(UnsupportedModelError, match="Step Cache works on every model"):
            attach(model, method)


class Detector(DepthAnything3Net):
    """The host's, without its weights."""

    def __init__(self) -> None:
        nn.Module.__init__(self)


def test_law_8_what_is_not_sampled_is_refused_in_words() -> None:
    model = toys.TOYS["sd15"].make()
    model.model.diffusion_model = Detector()
    with pytest.raises(StepCacheError, match=r"^Step Cache: .*Detector.*instead of sampling one"):
        attach(model, TWICE)


def test_twice_on_one_model_is_refused() -> None:
    with pytest.raises(StepCacheError, match="already carries a Step Cache node"):
        attach(attach(toys.load("wan"), TWICE), StepCache(3.0))
