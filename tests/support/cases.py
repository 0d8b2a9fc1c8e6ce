"""Every method × every model family: who works, who refuses, and the settings to try."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import toys
import zoo
from promises import PROMISES, WHOLE_RUN, Case, deepcache, pab
from stepcache.cache_core.methods import PAB, DeepCache, FasterCache, SmoothCache, StepCache
from stepcache.cache_core.sites import SiteKind


def _fastercache_attention(model: str) -> Case:
    reusing = FasterCache(2, 2, 2, attention_window=WHOLE_RUN, guidance_interval=1)
    idle = FasterCache(1, 1, 1, guidance_interval=1)
    return Case("FasterCache attention", model, lambda _: reusing, lambda _: idle)


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
    method.__name__: promise.case for method, promise in PROMISES.items()
}
BLOCK_BUILDERS = (_blocks, _smoothcache_blocks)
MORE_BUILDERS: dict[str, Callable[[str], Case]] = {
    **BUILDERS, "PAB blocks": _blocks, "FasterCache attention": _fastercache_attention,
}  # fmt: skip
"""With forms of methods, for what people plug in."""

UNETS = ("sd15", "sdxl", "svd", "shapes_unet")
CROSSED = frozenset({
    SiteKind.SELF_ATTENTION, SiteKind.CROSS_ATTENTION, SiteKind.GUIDANCE, SiteKind.EVALUATION,
})  # fmt: skip
SITES: dict[str, frozenset[SiteKind]] = {
    **dict.fromkeys(UNETS, CROSSED | {SiteKind.DEEP_BRANCH}),
    **dict.fromkeys(("wan", "shapes_dit"), CROSSED),
    **{name: toy.sites for name, toy in zoo.TOYS.items()},
}
"""The models that methods are tried on, and kinds of sites that they have."""


def fits(method: str, name: str) -> bool:
    """Whether a model accepts a method, or a form of one."""
    sites = SITES.get(name) or toys.TOYS[name].sites
    promises = {each.__name__: promise for each, promise in PROMISES.items()}
    return bool(promises[method.split()[0]].acts_on & sites)


WITH_BLOCKS = (
    "sd15", "svd", "wan",
    *(name for name, toy in zoo.TOYS.items() if SiteKind.BLOCK in toy.kinds),
)  # fmt: skip
CASES = [
    *(
        build(name)
        for name in SITES
        if name not in zoo.VARIANTS
        for method, build in BUILDERS.items()
        if fits(method, name)
    ),
    *(_fastercache_attention(name) for name in ("sd15", "svd", "wan")),
    *(build(n) for n in WITH_BLOCKS if n not in zoo.VARIANTS for build in BLOCK_BUILDERS),
]
REFUSALS = [
    *(
        (build(name).reusing(), name)
        for name in SITES
        for method, build in BUILDERS.items()
        if not fits(method, name)
    ),
    *((PAB(block=2), name) for name in zoo.TOYS if name not in WITH_BLOCKS),
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
    "case", [*map(pab, zoo.LOADED), BUILDERS["DeepCache"]("sd15_file")], ids=str
)
"""What the host's loader makes; the classes are those of the zoo, so one method is enough."""
each_variant = pytest.mark.parametrize(
    "case", [build(name) for name in sorted(zoo.VARIANTS) for build in (pab, _blocks)], ids=str
)
"""Other models of the same classes: the identities are enough."""
each_family = pytest.mark.parametrize(
    "case",
    [case for case in CASES if case.method == "PAB" and case.model in zoo.TOYS],
    ids=str,
)
"""One method on every family: for what depends on how a family is reached."""
UNET_BUILDERS = {name: build for name, build in BUILDERS.items() if name != StepCache.__name__} | {
    DeepCache.__name__: partial(deepcache, branch=4)
}
each_unet_variant = pytest.mark.parametrize(
    "case",
    [
        case(name)
        for name in ("sd2", "inpaint", "refiner", *zoo.UNETS)
        for case in UNET_BUILDERS.values()
    ],
    ids=str,
)
"""The host's other UNets: the identities are enough, the mechanism is the same."""
