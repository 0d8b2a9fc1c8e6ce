"""Wan-Animate2 beside the host's cache of its pose video, which leaves every second call out."""

from __future__ import annotations

from typing import Any

import host
import torch
import toys
from stepcache.cache_core.host import attach, last_report
from stepcache.cache_core.methods import PAB
from stepcache.cache_core.schedules import PercentRange
from stepcache.cache_core.sites import SiteKind

MODEL = "wan_animate2"
WHOLE = PercentRange(0.0, 1.0)


def _cached() -> Any:
    """The model with the host's node; with a store of its own, as a graph that is run has it."""
    model = toys.load(MODEL)
    return host.node("nodes_wan", "WanAnimate2Cache").execute(model, "cpu").result[0]


def test_reusing_nothing_is_bit_identical() -> None:
    plain = toys.sample(_cached(), MODEL)
    assert torch.equal(toys.sample(attach(_cached(), PAB(1, 1, 1, WHOLE)), MODEL), plain)


def test_what_the_first_step_computed_for_the_pose_answers_for_nothing_else() -> None:
    """The picture's layers come second in the first step, and first in all others."""
    patched = attach(_cached(), PAB(1, 1, 2, WHOLE))
    picture = toys.sample(patched, MODEL)
    report = last_report(patched)
    assert torch.isfinite(picture).all()
    # Six steps: pose and picture, twice the picture alone; reused once it is known as the first.
    assert report.strip_of(SiteKind.CROSS_ATTENTION) == "CCCRCR"
    assert torch.equal(toys.sample(patched, MODEL), picture)
