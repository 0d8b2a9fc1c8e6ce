"""The test case of every method: what its node and its layers are promised to be, and the settings
that the laws are tried with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import toys
from stepcache.cache_core.methods import (
    PAB,
    DeepCache,
    FasterCache,
    Method,
    SmoothCache,
    StepCache,
    TGate,
)
from stepcache.cache_core.schedules import PercentRange
from stepcache.cache_core.sites import SiteKind

WHOLE_RUN = PercentRange(0.0, 1.0)
STEPS = 6
ATTENTION = frozenset({
    SiteKind.SELF_ATTENTION, SiteKind.JOINT_ATTENTION, SiteKind.CROSS_ATTENTION,
    SiteKind.TEMPORAL_ATTENTION,
})  # fmt: skip
LAYERS = ATTENTION | {SiteKind.FEED_FORWARD}


@dataclass(frozen=True)
class Case:
    """One method on one model.

    Args:
        method: its name in test names.
        make_reusing: settings that reuse in a run of so many steps.
        make_idle: settings that never reuse in such a run.
        has_one_length: whether the settings are for exactly that many steps.
        keeps_answers: whether a question asked again gets the same answer. Not so
            where guidance ends, where an unconditional branch is rebuilt by transforms, and where
            answers lie on a line over the noise level.
        is_exact: whether that answer is the same to the last bit; a block's sum is rounded once
            more.
    """

    method: str
    model: str
    make_reusing: Callable[[int], Any]
    make_idle: Callable[[int], Any]
    has_one_length: bool = False
    keeps_answers: bool = True
    is_exact: bool = True

    def __str__(self) -> str:
        return f"{self.method}-{self.model}"

    def reusing(self, steps: int = STEPS) -> Any:
        return self.make_reusing(steps)

    def idle(self, steps: int = STEPS) -> Any:
        return self.make_idle(steps)


def pab(model: str) -> Case:
    reusing = PAB(2, 3, 3, WHOLE_RUN, (0.0,), 2, 2)
    return Case("PAB", model, lambda _: reusing, lambda _: PAB(1, 1, 1, WHOLE_RUN))


def deepcache(model: str, branch: int = 0) -> Case:
    return Case("DeepCache", model, lambda _: DeepCache(3, branch), lambda _: DeepCache(1, branch))


def _fastercache(model: str) -> Case:
    reusing = FasterCache(
        2, 2, 2, attention_window=WHOLE_RUN, guidance_interval=3, guidance_window=WHOLE_RUN
    )
    idle = FasterCache(1, 1, 1, guidance_interval=1)
    return Case("FasterCache", model, lambda _: reusing, lambda _: idle, keeps_answers=False)


def _tgate(model: str) -> Case:
    return Case(
        "TGate", model, lambda _: TGate(3, 0, 2, 2), lambda steps: TGate(steps, 0, 1, 1),
        keeps_answers=False,
    )  # fmt: skip


def _smoothcache(model: str) -> Case:
    kinds = toys.TOYS[model].kinds - {SiteKind.BLOCK, SiteKind.DEEP_BRANCH} or {
        SiteKind.SELF_ATTENTION, SiteKind.FEED_FORWARD,
    }  # fmt: skip

    def make(computes: Callable[[int], bool], steps: int) -> SmoothCache:
        row = tuple(computes(step) for step in range(steps))
        other = tuple(computes(step + 1) or step == 0 for step in range(steps))
        return SmoothCache(
            tuple(
                (kind, None, other if kind is SiteKind.FEED_FORWARD else row)
                for kind in sorted(kinds)
            )
        )

    return Case(
        "SmoothCache", model, lambda steps: make(lambda step: step % 2 == 0, steps),
        lambda steps: make(lambda _: True, steps), has_one_length=True,
    )  # fmt: skip


def _step_cache(model: str) -> Case:
    return Case(
        "StepCache", model, lambda _: StepCache(2.0), lambda _: StepCache(1.0),
        keeps_answers=False, is_exact=False,
    )  # fmt: skip


@dataclass(frozen=True)
class Promise:
    """What a method is promised to be.

    Args:
        node: id of its node.
        inputs: of that node, in their order, with their defaults. Saved workflows depend on them:
            they are added to, never changed.
        acts_on: kinds of sites. A model that has one of them accepts the method; every other one
            refuses in words.
        case: settings to try the laws with, on a model.
    """

    node: str
    inputs: Mapping[str, Any]
    acts_on: frozenset[SiteKind]
    case: Callable[[str], Case]


PROMISES: dict[type[Method], Promise] = {
    StepCache: Promise(
        "StepCacheForecast", {
            "model": None, "speed": 2.0, "start_percent": 0.0, "end_percent": 1.0,
            "carried": "auto", "calibration": "none",
        },
        frozenset({SiteKind.EVALUATION}), _step_cache,
    ),
    DeepCache: Promise(
        "StepCacheDeepCacheUNet", {
            "model": None, "interval": 3, "branch": 0, "schedule": "uniform", "center": 15,
            "power": 1.4, "start_percent": 0.0, "end_percent": 1.0, "preset": "custom",
        },
        frozenset({SiteKind.DEEP_BRANCH}), deepcache,
    ),
    PAB: Promise(
        "StepCacheApplyPAB", {
            "model": None, "self_attention": 2, "temporal_attention": 4, "cross_attention": 6,
            "start_percent": 0.15, "end_percent": 0.9, "feed_forward_start": 0.3,
            "feed_forward_count": 0, "feed_forward_blocks": 5, "preset": "custom", "block": 1,
        },
        ATTENTION, pab,
    ),
    FasterCache: Promise(
        "StepCacheApplyFasterCache", {
            "model": None, "preset": "custom", "self_attention": 2, "temporal_attention": 2,
            "cross_attention": 1, "attention_start_percent": 0.3, "attention_end_percent": 1.0,
            "guidance_interval": 5, "guidance_start_percent": 0.33, "guidance_end_percent": 1.0,
            "low_gain": 1.2, "high_gain": 1.2, "switch_percent": 0.7,
        },
        ATTENTION | {SiteKind.GUIDANCE}, _fastercache,
    ),
    TGate: Promise(
        "StepCacheTGate", {
            "model": None, "preset": "custom", "gate_step": 0, "warm_up": 2, "self_interval": 5,
            "gated_interval": 1, "after_gate": "uncond (as published)", "gate_share": 0.6,
        },
        frozenset({SiteKind.CROSS_ATTENTION}), _tgate,
    ),
    SmoothCache: Promise(
        "StepCacheSmoothCache", {
            "model": None, "schedule": "FORA: every 2nd step", "steps": 0,
            "choose_by": "the file's schedule", "threshold": 0.15, "speedup": 1.5, "quality": 0.98,
            "lookahead": 3, "parts": "kinds of layers",
        },
        LAYERS, _smoothcache,
    ),
}  # fmt: skip
