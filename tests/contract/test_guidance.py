"""One branch instead of two: what is rebuilt, what is kept, and when guidance stays whole."""

from __future__ import annotations

from typing import Any

import comfy.sample
import comfy.samplers
import companions
import host
import observe
import pytest
import torch
import toys
from comfy.patcher_extension import WrappersMP
from stepcache.cache_core.host import attach, last_report
from stepcache.cache_core.host.evaluation.guidance import KEEPS_COND
from stepcache.cache_core.host.remarks import UNEXPECTED_BRANCH
from stepcache.cache_core.methods import DeepCache, FasterCache, TGate
from stepcache.cache_core.schedules import PercentRange

WHOLE_RUN = PercentRange(0.0, 1.0)
STEPS = 6
PLAIN_DELTA = FasterCache(
    1, 1, 1, guidance_interval=3, guidance_window=WHOLE_RUN, low_gain=1.0, high_gain=1.0
)
"""Rebuilds the unconditional branch from the last difference, without amplifying it."""

DISCRETE = [
    ("nodes_model_advanced", "ModelSamplingDiscrete", {"sampling": name, "zsnr": False})
    for name in ("eps", "v_prediction", "lcm", "x0", "img_to_img")
]
EDM = [
    (
        "nodes_model_advanced", "ModelSamplingContinuousEDM",
        {"sampling": name, "sigma_max": 80.0, "sigma_min": 0.01},
    )
    for name in ("edm", "v_prediction", "eps")
]  # fmt: skip
FLOW = [("nodes_model_advanced", "ModelSamplingSD3", {"shift": shift}) for shift in (1.0, 5.0)]


def _answer_always_the_same(model: Any) -> Any:
    """A clone whose network says at every step what it said at the first, branch by branch."""
    clone = model.clone()
    said: dict[int, torch.Tensor] = {}

    def repeat(executor: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        options = next(
            value for value in (*args, *kwargs.values())
            if isinstance(value, dict) and "cond_or_uncond" in value
        )  # fmt: skip
        branches = options["cond_or_uncond"]
        for branch, answer in zip(
            branches, executor(*args, **kwargs).chunk(len(branches)), strict=True
        ):
            said.setdefault(branch, answer.clone())
        return torch.cat([said[branch] for branch in branches])

    clone.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "answer_always_the_same", repeat)
    return clone


@pytest.mark.parametrize(
    ("name", "sampling"),
    [*(("sd15", each) for each in (*DISCRETE, *EDM)), *(("wan", each) for each in FLOW)],
    ids=lambda value: value if isinstance(value, str) else "-".join(map(str, value[2].values())),
)
def test_what_is_carried_is_network_output_whatever_the_model_predicts(
    name: str, sampling: tuple[str, str, dict[str, Any]]
) -> None:
    # The network's answer does not change, so its difference is right at every noise level, while
    # the difference of denoised latents would be wrong at all but one.
    module, node, inputs = sampling
    model = host.applied(module, node, **inputs)(toys.load(name))
    steady = _answer_always_the_same(model)
    plain = toys.sample(steady, name, steps=STEPS)
    patched = attach(_answer_always_the_same(model), PLAIN_DELTA)
    cached = toys.sample(patched, name, steps=STEPS)
    assert last_report(patched).strip_of("guidance") == "CRRCRR"
    # The transforms and the way there and back round at 1e-6; the run amplifies it by its sigmas.
    torch.testing.assert_close(cached, plain, rtol=1e-4, atol=1e-4 * plain.std().item())
    without = toys.sample(steady, name, steps=STEPS, cfg=1.0)
    assert (without - plain).abs().max() > 0.01 * plain.std(), "guidance must matter here"


@pytest.mark.parametrize("name", ["sd15", "sdxl", "svd", "wan", "shapes_dit"])
def test_a_rebuilt_branch_costs_one_evaluation_of_one_branch(name: str) -> None:
    patched, rows = _count_rows(attach(toys.load(name), PLAIN_DELTA))
    toys.sample(patched, name, steps=STEPS)
    assert rows == [2, 1, 1, 2, 1, 1]


def _count_rows(model: Any) -> tuple[Any, list[int]]:
    """A clone that lists how many conditionings every evaluation asked the network about."""
    clone = model.clone()
    rows: list[int] = []

    def start(executor: Any, *args: Any) -> Any:
        rows.append(0)
        return executor(*args)

    def count(executor: Any, *args: Any, **kwargs: Any) -> Any:
        options = next(a for a in (*args, *kwargs.values()) if isinstance(a, dict) and "uuids" in a)
        rows[-1] += len(options["cond_or_uncond"])
        return executor(*args, **kwargs)

    clone.add_wrapper_with_key(WrappersMP.PREDICT_NOISE, "start", start)
    clone.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "count", count)
    return clone, rows


@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize("sampler", ["euler", "heun", "dpmpp_sde"])
def test_the_gate_falls_at_the_step_whatever_the_sampler_asks(sampler: str, batched: bool) -> None:
    patched, rows = _count_rows(attach(toys.load("sd15"), TGate(3, 0, 1, 1)))
    with observe.memory_for(lambda: batched):
        toys.sample(patched, "sd15", steps=STEPS, sampler=sampler)
    assert last_report(patched).strip_of("guidance") == "CCCRRR"
    assert last_report(patched).strip_of("cross_attention") == "CCCRRR"
    # Heun asks at 0, then at 1 and again at 1, and so on: what it asks at the gate's noise level
    # is gated. The SDE sampler asks between two steps, which belongs to the earlier one.
    guided = {"euler": 3, "heun": 5, "dpmpp_sde": 6}[sampler]
    assert rows[:guided] == [2] * guided
    assert set(rows[guided:]) == {1}


@pytest.mark.parametrize("name", ["sd15", "wan"])
def test_after_the_gate_the_prompt_of_the_branch_does_not_matter(name: str) -> None:
    # The prompt enters these models through cross-attention alone, and that is frozen.
    answers = [
        toys.sample(attach(toys.load(name), TGate(3, 0, 1, 1, kept)), name, steps=STEPS)
        for kept in ("cond", "uncond")
    ]
    assert torch.equal(*answers)


def test_the_frozen_attention_carries_both_prompts() -> None:
    positive, negative = toys.conditioning("sd15")
    other = toys.conditioning("sd15", seed=11)
    gated = attach(toys.load("sd15"), TGate(1, 0, 1, 1))
    first = toys.sample(gated, "sd15", conds=(positive, negative))
    for conds in ((other[0], negative), (positive, other[1])):
        assert not torch.equal(toys.sample(gated, "sd15", conds=conds), first)


def test_two_pictures_in_a_batch_are_not_mixed() -> None:
    gated = attach(toys.load("sd15"), TGate(2, 0, 2, 2))
    noise = torch.zeros(toys.TOYS["sd15"].latent)
    together = toys.sample(gated, "sd15", batch=2)
    changed = toys.sample(gated, "sd15", latent=torch.cat([noise, noise + 1.0]))
    # The first picture is the same in both, whatever the second one is.
    torch.testing.assert_close(changed[0], together[0], rtol=0, atol=0)
    assert not torch.equal(changed[1], together[1])


@pytest.mark.parametrize("method", [TGate(3, 0, 1, 1), PLAIN_DELTA], ids=lambda m: m.name)
def test_without_guidance_the_report_says_that_nothing_was_left_out(method: Any) -> None:
    patched = attach(toys.load("sd15"), method)
    toys.sample(patched, "sd15", cfg=1.0)
    report = last_report(patched)
    assert report.strip_of("guidance") == "......"
    assert any("no step ran two branches" in note for note in report.notes)


def test_without_guidance_attention_does_not_wait_for_the_second_branch() -> None:
    def plans(guidance_interval: int) -> dict[str, str]:
        method = FasterCache(
            2, 2, 2, attention_window=WHOLE_RUN, guidance_window=WHOLE_RUN,
            guidance_interval=guidance_interval,
        )  # fmt: skip
        patched = attach(toys.load("flux"), method)
        toys.sample(patched, "flux", cfg=1.0)
        assert last_report(patched).strip_of("joint_attention").count("R") > 0
        return last_report(patched).plans

    assert plans(3) == {k: v for k, v in plans(1).items() if k != "guidance"}


def test_cfg_plus_plus_runs_both_branches_at_cfg_1_and_leaves_one_out() -> None:
    patched = attach(toys.load("wan"), PLAIN_DELTA)
    toys.sample(patched, "wan", cfg=1.0, sampler="euler_cfg_pp")
    report = last_report(patched)
    assert report.strip_of("guidance") == report.plans["guidance"]
    assert "R" in report.plans["guidance"]
    assert not report.notes


def test_a_sampler_that_asks_for_both_branches_after_all_is_named() -> None:
    """One that nobody knows does what those of CFG++ do."""
    method = FasterCache(2, 2, 2, attention_window=WHOLE_RUN, guidance_interval=3)
    patched = attach(toys.load("wan"), method)
    positive, negative = toys.conditioning("wan")
    latent = torch.zeros(toys.TOYS["wan"].latent)
    known = comfy.samplers.ksampler("euler_cfg_pp")
    function = known.sampler_function

    def unknown(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    sampler = comfy.samplers.KSAMPLER(unknown)
    sigmas = comfy.samplers.calculate_sigmas(
        patched.get_model_object("model_sampling"), "simple", 6
    )
    with torch.inference_mode():
        comfy.sample.sample_custom(
            patched, latent + 1, 1.0, sampler, sigmas, positive, negative, latent,
            disable_pbar=True,
        )  # fmt: skip
    report = last_report(patched)
    assert "guidance" not in report.plans
    assert report.total_reused > 0
    assert [note for note in report.notes if "branch" in note] == [UNEXPECTED_BRANCH]


def _controlled(conds: companions.Conds) -> companions.Conds:
    return companions.control_net(conds)[0], conds[1]


def _left_half(conds: companions.Conds) -> companions.Conds:
    positive, negative = conds
    half = {**positive[0][1], "area": (16, 8, 0, 0), "strength": 1.0}
    return [[positive[0][0] * 0.5, half], *positive], negative


@pytest.mark.parametrize("change", [_controlled, _left_half, companions.two_positives])
def test_the_null_branch_does_not_finish_what_it_cannot_know(change: Any) -> None:
    answers: list[torch.Tensor] = []
    for kept in ("uncond", "cond"):
        patched = attach(toys.load("sd15"), TGate(3, 0, 1, 1, kept))
        torch.manual_seed(0)  # the ControlNet's hint
        conds = change(toys.conditioning("sd15"))
        answers.append(toys.sample(patched, "sd15", steps=STEPS, conds=conds))
        assert (KEEPS_COND in last_report(patched).notes) == (kept == "uncond")
    assert torch.equal(*answers)


def test_the_gate_waits_for_a_step_that_stored_the_attention() -> None:
    # Another cache answers for the whole network at the last guided step: nothing is frozen then,
    # and the null prompt must not go on alone.
    def skip(executor: Any, x: torch.Tensor, sigma: torch.Tensor, *args: Any) -> Any:
        calls.append(1)
        return x * 0 if len(calls) == 3 else executor(x, sigma, *args)

    calls: list[int] = []
    patched = attach(toys.load("sd15"), TGate(3, 0, 1, 1))
    patched.add_wrapper_with_key(WrappersMP.PREDICT_NOISE, "skip", skip)
    toys.sample(patched, "sd15", steps=STEPS)
    assert last_report(patched).strip_of("guidance") == "CC.CRR"
    assert last_report(patched).strip_of("cross_attention") == "CC.CRR"


@pytest.mark.parametrize("branch", [0, 2])
def test_around_the_gate_the_deep_branch_runs_in_full(branch: int) -> None:
    patched = attach(attach(toys.load("sd15"), DeepCache(3, branch)), TGate(5, 0, 1, 1))
    toys.sample(patched, "sd15", steps=9)
    report = last_report(patched)
    assert report.strip_of("deep_branch") == "CRRCCCCRR"
    assert report.strip_of("guidance") == "CCCCCRRRR"
    assert not report.forced
