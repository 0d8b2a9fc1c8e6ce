"""Guiders of other packs: nothing of them is assumed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import comfy.samplers
import pytest
import runtime_sampling
import torch
import toys
from calibrating import calibrate
from comfy.samplers import CFGGuider
from stepcache.cache_core.host import attach, last_report
from stepcache.cache_core.host.guider import has_one_branch, name_of, scale_of
from stepcache.cache_core.host.remarks import NO_SCALE
from stepcache.cache_core.methods import PAB, FasterCache, SmoothCache, TGate
from stepcache.cache_core.schedules import PercentRange
from stepcache.cache_core.sites import SiteKind

WHOLE_RUN = PercentRange(0.0, 1.0)


class ScheduledGuider(CFGGuider):
    """A scale for every step."""

    def predict_noise(
        self, x: torch.Tensor, timestep: Any, model_options: dict[str, Any], seed: Any = None
    ) -> torch.Tensor:
        steps = model_options["transformer_options"]["sample_sigmas"]
        step = int((steps - timestep.flatten()[0]).abs()[:-1].argmin())
        negative, positive = self.conds["negative"], self.conds["positive"]
        return comfy.samplers.sampling_function(
            self.inner_model, x, timestep, negative, positive, self.cfg[step],
            model_options=model_options, seed=seed,
        )  # fmt: skip


def _scheduled(model: Any, name: str) -> torch.Tensor:
    guider = ScheduledGuider(model)
    guider.set_conds(*toys.conditioning(name))
    guider.set_cfg([5.0, 4.0, 3.0, 2.0, 1.0])
    return runtime_sampling.guided(guider, model, name)


IDLE = [
    PAB(1, 1, 1, WHOLE_RUN), FasterCache(1, 1, 1, guidance_interval=1), TGate(5, 0, 1, 1),
    SmoothCache(((SiteKind.SELF_ATTENTION, None, (True,) * 5),)),
]  # fmt: skip


@pytest.mark.parametrize("method", IDLE, ids=lambda method: method.name)
def test_a_scale_for_every_step_is_bit_identical_where_nothing_is_reused(method: Any) -> None:
    plain = _scheduled(toys.load("wan"), "wan")
    assert torch.equal(_scheduled(attach(toys.load("wan"), method), "wan"), plain)


def test_a_scale_for_every_step_reuses_as_planned() -> None:
    model = attach(toys.load("wan"), PAB(2, 1, 1, WHOLE_RUN))
    assert torch.isfinite(_scheduled(model, "wan")).all()
    assert last_report(model).strip_of(SiteKind.SELF_ATTENTION) == "CRCRC"


@pytest.mark.parametrize(
    ("cfg", "scale"),
    [(5, 5.0), (torch.tensor([3.0]), 3.0), ("7", 7.0), ([5.0, 4.0], None), (None, None),
     (torch.ones(3), None), (float("nan"), None), ({}, None)],
    ids=str,
)  # fmt: skip
def test_the_scale_is_one_number_or_unknown(cfg: object, scale: float | None) -> None:
    assert scale_of(SimpleNamespace(cfg=cfg)) == scale


def test_a_guider_without_a_scale_guides_by_1() -> None:
    assert scale_of(object()) == 1.0


@pytest.mark.parametrize("cfg", [[1.0, 1.0], None, "soft"], ids=str)
def test_with_an_unknown_scale_both_branches_may_run(cfg: object) -> None:
    guider = CFGGuider(toys.load("wan"))
    guider.conds = {"positive": [], "negative": []}
    guider.set_cfg(cfg)
    assert not has_one_branch(guider, "euler")
    guider.set_cfg(1.0)
    assert has_one_branch(guider, "euler")
    assert not has_one_branch(guider, "euler_cfg_pp")


@pytest.mark.parametrize("conds", [None, [], 3], ids=str)
def test_conditionings_of_another_form_say_nothing_of_branches(conds: object) -> None:
    guider = CFGGuider(toys.load("wan"))
    guider.conds = conds
    assert not has_one_branch(guider, "euler")


def test_a_sampler_without_a_name_has_that_of_its_class() -> None:
    assert name_of(SimpleNamespace(sampler_function=None)) == "SimpleNamespace"
    assert name_of(object()) == "object"


def test_calibrating_says_that_guidance_was_not_measured() -> None:
    run = calibrate("wan", run=lambda model: _scheduled(model, "wan"))
    assert run.calibration.run.cfg == 1.0
    assert NO_SCALE in run.report.notes
