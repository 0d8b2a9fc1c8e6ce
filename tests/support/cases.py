"""Every method × every model family: who works, who refuses, and the settings to try."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import toys
import zoo
from stepcache.cache_core.methods import (
    PAB,
    DeepCache,
    FasterCache,
    SmoothCache,
    StepCache,
    TGate,
)
from stepcache.cache_core.schedules import PercentRange
from stepcache.cache_core.sites import SiteKind

WHOLE_RUN = PercentRange(0.0, 1.0)
STEPS = 6


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


def _pab(model: str) -> Case:
    reusing = PAB(2, 3, 3, WHOLE_RUN, (0.0,), 2, 2)
    return Case("PAB", model, lambda _: reusing, lambda _: PAB(1, 1, 1, WHOLE_RUN))


def _deepcache(model: str, branch: int) -> Case:
    return Case("DeepCache", model, lambda _: DeepCache(3, branch), lambda _: DeepCache(1, branch))


def _fastercache(model: str) -> Case:
    reusing = FasterCache(
        2, 2, 2, attention_window=WHOLE_RUN, guidance_interval=3, guidance_window=WHOLE_RUN
    )
    idle = FasterCache(1, 1, 1, guidance_interval=1)
    return Case("FasterCache", model, lambda _: reusing, lambda _: idle, keeps_answers=False)


def _fastercache_attention(model: str) -> Case:
    reusing = FasterCache(2, 2, 2, attention_window=WHOLE_RUN, guidance_interval=1)
    idle = FasterCache(1, 1, 1, guidance_interval=1)
    return Case("FasterCache attention", model, lambda _: reusing, lambda _: idle)


def _tgate(model: str) -> Case:
    return Case(
        "TGate", model, lambda _: TGate(3, 0, 2, 2), lambda steps: TGate(steps, 0, 1, 1),
        keeps_answers=False,
    )  # fmt: skip


def _smoothcache(model: str) -> Case:
    kinds = toys.TOYS[model].kinds - {SiteKind.BLOCK} or {
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


def _blocks(model: str) -> Case:
    return Case(
        "PAB blocks", model, lambda _: PAB(window=WHOLE_RUN, block=2),
        lambda _: PAB(1, 1, 1, WHOLE_RUN), is_exact=False,
    )  # fmt: skip


def _smoothcache_blocks(model: str) -> Case:
    def make(row: tuple[bool, ...]) -> SmoothCache:
        return SmoothCache(((SiteKind.BLOCK, None, row),))

    return Case(
        "SmoothCache blocks", model,
        lambda steps: make(tuple(step % 3 == 0 for step in range(steps))),
        lambda steps: make((True,) * steps), has_one_length=True, is_exact=False,
    )  # fmt: skip


BUILDERS: dict[str, Callable[[str], Case]] = {
    "PAB": _pab, "FasterCache": _fastercache, "TGate": _tgate, "SmoothCache": _smoothcache,
    "DeepCache": partial(_deepcache, branch=0), "StepCache": _step_cache,
}  # fmt: skip
NOWHERE = frozenset({"wan_causal"})
"""Models that have to run at every step; every other one accepts Step Cache."""
BLOCK_BUILDERS = (_blocks, _smoothcache_blocks)
MORE_BUILDERS: dict[str, Callable[[str], Case]] = {
    **BUILDERS, "PAB blocks": _blocks, "FasterCache attention": _fastercache_attention,
}  # fmt: skip
"""With forms of methods, for what people plug in."""


def _of_zoo() -> list[Case]:
    """Every method that a toy's family should accept, and whole blocks where it has them."""
    cases: list[Case] = []
    for name, toy in zoo.TOYS.items():
        if name in zoo.VARIANTS:
            continue
        fitting = toy.methods | (frozenset() if name in NOWHERE else {"StepCache"})
        cases += [build(name) for method, build in BUILDERS.items() if method in fitting]
        if SiteKind.BLOCK in toy.kinds:
            cases += [build(name) for build in BLOCK_BUILDERS]
    return cases


UNETS = ("sd15", "sdxl", "svd", "shapes_unet")
ATTENTION_MODELS = (*UNETS, "wan", "shapes_dit")
CASES = [
    *(_pab(name) for name in ATTENTION_MODELS),
    *(_deepcache(name, 0) for name in UNETS),
    *(_fastercache(name) for name in ATTENTION_MODELS),
    *(_fastercache_attention(name) for name in ("sd15", "svd", "wan")),
    *(_tgate(name) for name in ATTENTION_MODELS),
    *(_smoothcache(name) for name in ATTENTION_MODELS),
    *(_step_cache(name) for name in ATTENTION_MODELS),
    *(build(name) for name in ("sd15", "svd", "wan") for build in BLOCK_BUILDERS),
    *_of_zoo(),
]
ROW = (SiteKind.SELF_ATTENTION, None, (True, False))
METHODS: dict[str, Any] = {
    "PAB": PAB(), "FasterCache": FasterCache(), "TGate": TGate(), "DeepCache": DeepCache(),
    "SmoothCache": SmoothCache((ROW,)),
}  # fmt: skip
REFUSALS = [
    *((DeepCache(), name) for name in ("wan", "shapes_dit")),
    *((StepCache(), name) for name in NOWHERE),
    *(
        (method, name)
        for name, toy in zoo.TOYS.items()
        for label, method in METHODS.items()
        if label not in toy.methods
    ),
    *((PAB(block=2), name) for name, toy in zoo.TOYS.items() if SiteKind.BLOCK not in toy.kinds),
]
SAMPLED = ("sd15", "wan", "shapes_unet", "shapes_dit")
SAMPLERS = ("euler", "heun", "dpmpp_2m", "dpmpp_sde", "uni_pc", "dpm_adaptive", "lcm")

each_case = pytest.mark.parametrize("case", CASES, ids=str)
each_case_that_keeps_answers = pytest.mark.parametrize(
    "case", [case for case in CASES if case.keeps_answers], ids=str
)
each_case_of_one_method = pytest.mark.parametrize(
    "case",
    [
        case
        for case in CASES
        if case.model not in zoo.TOYS
        or case.model in ("flux", "sd3")
        or case.method in ("PAB", "PAB blocks")
    ],
    ids=str,
)
"""For laws of several runs each: on most families one method, on layers and on blocks."""
FORMS = ("FasterCache attention", "SmoothCache blocks")
"""Cases whose way through the session another one goes too."""
each_fast_case = pytest.mark.parametrize(
    "case", [c for c in CASES if c.model in ("sd15", "wan") and c.method not in FORMS], ids=str
)
"""One UNet and one DiT: for laws whose other axis (steps, runs) is long."""
each_case_and_sampler = pytest.mark.parametrize(
    ("case", "sampler"),
    [
        pytest.param(case, sampler, id=f"{case}-{sampler}")
        for case in CASES
        for sampler in SAMPLERS
        if case.method not in FORMS
        # An adaptive sampler asks ten times as often as the others, and is given no forecast.
        and case.model in (("wan", "shapes_dit") if sampler == "dpm_adaptive" else SAMPLED)
        and (case.method, sampler) != ("StepCache", "dpm_adaptive")
    ],
)
"""With the reference models: for the samplers."""
each_loaded_model = pytest.mark.parametrize(
    "case", [*map(_pab, zoo.LOADED), BUILDERS["DeepCache"]("sd15_file")], ids=str
)
"""What the host's loader makes; the classes are those of the zoo, so one method is enough."""
each_variant = pytest.mark.parametrize(
    "case", [build(name) for name in sorted(zoo.VARIANTS) for build in (_pab, _blocks)], ids=str
)
"""Other models of the same classes: the identities are enough."""
each_family = pytest.mark.parametrize(
    "case",
    [case for case in CASES if case.method == "PAB" and case.model in zoo.TOYS],
    ids=str,
)
"""One method on every family: for what depends on how a family is reached."""
each_unet_variant = pytest.mark.parametrize(
    "case",
    [
        case(name)
        for name in ("sd2", "inpaint", "refiner", *zoo.UNETS)
        for case in (_pab, partial(_deepcache, branch=4), _fastercache, _tgate, _smoothcache)
    ],
    ids=str,
)
"""The host's other UNets: the identities are enough, the mechanism is the same."""
