"""Calibrating runs: the picture is what it would have been, and the table is that of the run."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import cycle
from typing import Any

import calibrating
import comfy.samplers
import companions
import observe
import pytest
import runtime_patches
import torch
import toys
from calibrating import STEPS, calibrate
from stepcache.cache_core.calibration import Calibration, Place
from stepcache.cache_core.host import last_calibration
from stepcache.cache_core.host.installation import KEY
from stepcache.cache_core.host.run import RUN_KEY
from stepcache.cache_core.sites import SiteKind

SELF, CROSS, JOINT, TEMPORAL, FEED_FORWARD, BLOCK, DEEP, GUIDANCE = (
    SiteKind.SELF_ATTENTION, SiteKind.CROSS_ATTENTION, SiteKind.JOINT_ATTENTION,
    SiteKind.TEMPORAL_ATTENTION, SiteKind.FEED_FORWARD, SiteKind.BLOCK, SiteKind.DEEP_BRANCH,
    SiteKind.GUIDANCE,
)  # fmt: skip
UNET = {SELF, CROSS, FEED_FORWARD, BLOCK, DEEP, GUIDANCE}
DIT = {SELF, CROSS, FEED_FORWARD, BLOCK, GUIDANCE}
JOINT_DIT = {JOINT, FEED_FORWARD, BLOCK, GUIDANCE}
MODELS = {
    "sd15": UNET, "shapes_unet": UNET, "svd": UNET | {TEMPORAL}, "wan": DIT,
    "flux": JOINT_DIT,  # attention woven into its double blocks, its core alone in the single ones
    "sd3": JOINT_DIT, "cogvideox": JOINT_DIT,
    "seedvr2": {JOINT, BLOCK, GUIDANCE},  # returns parts of different lengths
    "koala": UNET,  # a UNet without a middle block
}  # fmt: skip
"""Kinds of layers that are measured."""
OTHERS = (*companions.COMPANIONS, *runtime_patches.SETUPS)
"""Other people's nodes."""


def check_whole(calibration: Calibration, kinds: set[SiteKind], steps: int) -> None:
    """A row of each kind, every cell of which is a number; and everything changes."""
    assert set(calibration.kinds) == kinds
    assert calibration.table.steps == steps
    for place, lags in calibration.table.rows.items():
        assert [len(row) for row in lags] == [max(steps - lag, 0) for lag in (1, 2, 3, 4)]
        assert all(math.isfinite(error) and error >= 0 for row in lags for error in row)
        # Attention to a prompt of one token, as in SVD, returns the same in every step.
        assert min(lags[0]) > 0 or place.kind is CROSS


@pytest.mark.parametrize("name", MODELS)
def test_calibrating_changes_no_pixel_and_leaves_nothing(name: str) -> None:
    model = toys.load(name)
    plain, marks = toys.sample(model, name, steps=STEPS), observe.fingerprint(model)
    done = calibrate(name)
    assert torch.equal(done.picture, plain)
    check_whole(done.calibration, MODELS[name], STEPS)
    assert done.report.outcome == "finished"
    assert done.report.total_reused == 0
    assert done.report.evaluations == STEPS
    assert last_calibration(done.patched) is done.calibration
    assert "delivered" in done.report.notes
    # Nothing of the run is left, on the model or anywhere else.
    assert observe.fingerprint(model) == marks
    options = model.model_options["transformer_options"]
    assert KEY not in options and RUN_KEY not in options
    assert RUN_KEY not in done.patched.model_options["transformer_options"]
    assert observe.stored_bytes() == 0
    assert calibrating.recorders() == 0
    assert torch.equal(toys.sample(model, name, steps=STEPS), plain)


@pytest.mark.parametrize("name", ["shapes_unet", "wan", "flux"])
def test_one_branch_and_several_pictures_are_measured_too(name: str) -> None:
    model, kinds = toys.load(name), MODELS[name]
    for options, measured in (({"cfg": 1.0}, kinds - {GUIDANCE}), ({"batch": 2}, kinds)):
        options = {**options, "steps": 4}
        done = calibrate(name, **options)
        assert torch.equal(done.picture, toys.sample(model, name, **options))
        check_whole(done.calibration, measured, 4)
        assert done.calibration.samples == options.get("batch", 1)
        assert done.calibration.run.cfg == options.get("cfg", 3.0)
        branches = {place.branch for place in done.calibration.table.rows}
        assert branches == ({"both"} if "cfg" in options else {"both", "cond", "uncond"})


def test_a_calibration_says_what_it_was_made_of() -> None:
    found = calibrate(
        "sd15", scheduler="karras", sampler="dpmpp_2m", study={"lookahead": 6}
    ).calibration
    assert (found.model.family, found.model.network) == ("UNet", "UNetModel")
    assert found.model.layers == {SELF: 16, CROSS: 16, FEED_FORWARD: 16, BLOCK: 16, DEEP: 12,
                                  GUIDANCE: 1}  # fmt: skip
    run = found.run
    assert (run.sampler, run.scheduler, run.cfg) == ("dpmpp_2m", "karras", 3.0)
    assert (run.latent, run.shift) == ((4, 16, 16), None)
    sampling = toys.load("sd15").get_model_object("model_sampling")
    sigmas = comfy.samplers.calculate_sigmas(sampling, "karras", STEPS)
    assert found.table.sigmas == pytest.approx(sigmas.tolist())
    assert found.table.lookahead == 6
    assert found.is_whole
    assert found.costs.device == "cpu"
    assert {kind for kind, _, _ in found.schedule} == {SELF, CROSS, FEED_FORWARD}
    assert calibrate("wan").calibration.run.shift == 8.0


@pytest.mark.parametrize("name", ["shapes_unet", "wan", "flux", "sd3"])
def test_batching_of_cond_and_uncond_does_not_matter(name: str) -> None:
    alternating = cycle([True, False, False])
    tables = []
    for batched in (lambda: True, lambda: False, lambda: next(alternating)):
        with observe.memory_for(batched):
            tables.append(calibrate(name, steps=6).calibration.table.rows)
    together, *others = tables
    for apart in others:
        assert apart.keys() == together.keys()
        for place, lags in together.items():
            for row, other in zip(lags, apart[place], strict=True):
                # Kernels differ between batch 1 and 2 by up to 2e-5 per call; six steps amplify it.
                assert other == pytest.approx(row, rel=2e-3, abs=1e-5), place


# Samplers.


@pytest.mark.parametrize("sampler", ["heun", "dpmpp_2m_sde", "dpm_2", "dpmpp_sde", "uni_pc", "lcm"])
@pytest.mark.parametrize("name", ["shapes_unet", "wan"])
def test_samplers_that_evaluate_in_their_own_way_are_measured_whole(
    name: str, sampler: str
) -> None:
    options: dict[str, Any] = {"steps": 5, "sampler": sampler}
    done = calibrate(name, **options)
    assert torch.equal(done.picture, toys.sample(toys.load(name), name, **options))
    check_whole(done.calibration, MODELS[name], 5)
    is_double = sampler in ("heun", "dpm_2", "dpmpp_sde")
    assert done.report.evaluations == (9 if is_double else 5)


@pytest.mark.parametrize("stage", [{"steps": 10}, {"steps": 10, "last_step": 4}], ids=str)
def test_a_sampler_that_chooses_its_own_steps_is_refused_afterwards_in_words(
    stage: dict[str, Any],
) -> None:
    """In a first stage it may meet every step, but none at its noise level."""
    options = {**stage, "sampler": "dpm_adaptive"}
    done = calibrate("wan", **options)
    assert torch.equal(done.picture, toys.sample(toys.load("wan"), "wan", **options))
    assert done.found is None
    assert last_calibration(done.patched) is None
    words = "SmoothCache Calibrate: the sampler dpm_adaptive did not evaluate the model at every"
    assert words in done.notes
    assert "Calibrate with a sampler that does, such as euler" in done.notes


# Beside other nodes.


@pytest.mark.parametrize(
    ("setup", "name"),
    [
        ("token merging", "sd15"),  # draws in every call of the network, also in ours
        ("IP-Adapter", "sd15"),
        ("perturbed attention", "sd15"),
        ("ControlNet, FreeU, IP-Adapter and input patches", "sd15"),
        ("normalized attention guidance", "flux"),
        ("dual guidance", "wan"),
        ("two positive prompts", "wan"),
        ("context windows", "wan"),
        ("bypass LoRA", "sd3"),
    ],
)
def test_what_other_nodes_do_stays_the_same(setup: str, name: str) -> None:
    one: Any = next(each for each in OTHERS if each.name == setup and name in each.models)
    one = replace(one, steps=STEPS)
    model = one.patch(toys.load(name))
    done = calibrate(name, model, lambda patched: _picture(one, patched, name))
    assert torch.equal(done.picture, _picture(one, model, name))
    assert set(MODELS[name]) - {GUIDANCE} <= set(done.calibration.kinds)
    probed = "deep_branch 0" if name == "sd15" else "block"
    assert probed in done.calibration.influence, "the network must be called once more"


def _picture(one: Any, model: Any, name: str) -> torch.Tensor:
    if isinstance(one, companions.Companion):
        return one.sample(model, name)
    # A setup of the runtime samples five steps, too few for a further call.
    torch.manual_seed(0)
    return toys.sample(model, name, steps=STEPS)


def test_a_prompt_that_is_exchanged_is_compared_with_itself_only() -> None:
    """The other branch goes on, and tells of the steps in between."""
    one = replace(_companion("prompt scheduling"), steps=6)
    done = calibrate("wan", run=lambda patched: one.sample(patched, "wan"))
    assert torch.equal(done.picture, one.sample(toys.load("wan"), "wan"))
    rows, plain = done.calibration.table.rows, calibrate("wan", steps=6).calibration.table.rows
    uncond, cond = (Place(SELF, None, branch) for branch in ("uncond", "cond"))
    assert {Place(SELF), uncond} <= rows.keys() and cond not in rows
    assert cond in plain
    assert GUIDANCE not in done.calibration.kinds
    assert "guidance is left out: it did not run in every step, or its size, prompts" in done.notes


def test_layers_whose_size_changes_are_left_out_in_words() -> None:
    setup = next(setup for setup in runtime_patches.SETUPS if setup.name == "deep shrink")
    model = setup.patch(toys.load("sd15"))
    done = calibrate("sd15", model)
    assert torch.equal(done.picture, toys.sample(model, "sd15", steps=STEPS))
    assert SELF not in done.calibration.kinds
    assert "self_attention is left out: it did not run in every step, or its size" in done.notes
    assert not done.calibration.schedule, "there is none without layers"


def test_where_nothing_can_be_compared_nothing_is_kept() -> None:
    """A LoRA that is faded out, for both prompts: nothing before is compared with what follows."""
    one = _companion("LoRA hook with a schedule")
    done = calibrate("wan", run=lambda patched: one.sample(patched, "wan"))
    assert torch.equal(done.picture, one.sample(toys.load("wan"), "wan"))
    assert done.found is None
    assert "no kind of layer could be compared from step to step; nothing was kept" in done.notes


def _companion(name: str) -> companions.Companion:
    return next(each for each in companions.COMPANIONS if each.name == name)


def test_what_is_no_number_is_not_kept() -> None:
    model = toys.TOYS["wan"].make()
    model.model.diffusion_model.blocks[1].ffn[0].weight[0, 0] = math.nan
    done = calibrate("wan", model, steps=4)
    assert torch.isnan(done.picture).any()
    assert done.found is None
    assert "returned values that are not numbers (NaN)" in done.notes
    assert "another weight_dtype or fewer patches" in done.notes
