"""Several methods on one model: any order, the same picture; a collision is refused in words."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import host
import pytest
import torch
import toys
from stepcache.cache_core.errors import ConfigError, RuleConflictError
from stepcache.cache_core.host import attach, last_report
from stepcache.cache_core.methods import PAB, DeepCache, FasterCache, SmoothCache, StepCache, TGate
from stepcache.cache_core.schedules import PercentRange
from stepcache.cache_core.sites import SiteKind

WHOLE_RUN = PercentRange(0.0, 1.0)
STEPS = 8
GUIDANCE_HALF = FasterCache(1, 1, 1, guidance_interval=3, guidance_window=WHOLE_RUN)
EVERY_SECOND = (True, False) * 4
SMOOTH = SmoothCache(
    ((SiteKind.SELF_ATTENTION, None, EVERY_SECOND), (SiteKind.FEED_FORWARD, None, EVERY_SECOND))
)
COMBINATIONS: dict[str, tuple[tuple[Any, ...], tuple[str, ...]]] = {
    "T-GATE + DeepCache": ((TGate(4, 0, 1, 1), DeepCache(3, 0)), ("sd15", "sdxl", "svd")),
    "FasterCache's guidance + PAB": ((GUIDANCE_HALF, PAB(2, 1, 3, WHOLE_RUN)), ("sd15", "wan")),
    "FasterCache's guidance + SmoothCache": ((GUIDANCE_HALF, SMOOTH), ("sd15", "wan")),
    "T-GATE + SmoothCache": ((TGate(4, 0, 1, 1), SMOOTH), ("sd15", "wan")),
    "FasterCache's guidance + DeepCache": ((GUIDANCE_HALF, DeepCache(2, 1)), ("sd15",)),
    "FasterCache's guidance + PAB + DeepCache": (
        (GUIDANCE_HALF, PAB(2, 1, 3, WHOLE_RUN), DeepCache(2, 1)), ("sd15",),
    ),
}  # fmt: skip
TABLE = [
    pytest.param(methods, name, id=f"{label}-{name}")
    for label, (methods, names) in COMBINATIONS.items()
    for name in names
]


def _attach_all(model: Any, methods: tuple[Any, ...]) -> Any:
    for method in methods:
        model = attach(model, method)
    return model


@pytest.mark.parametrize(("methods", "name"), TABLE)
def test_in_any_order_the_same_picture(methods: tuple[Any, ...], name: str) -> None:
    pictures: list[torch.Tensor] = []
    for order in permutations(methods):
        patched = _attach_all(toys.load(name), order)
        pictures.append(toys.sample(patched, name, steps=STEPS))
        report = last_report(patched)
        reusing = {kind for kind in report.plans if "R" in report.strip_of(kind)}
        assert len(reusing) >= 2, "every method of the combination has to act"
    assert all(torch.equal(picture, pictures[0]) for picture in pictures)
    alone = [toys.sample(attach(toys.load(name), m), name, steps=STEPS) for m in methods]
    assert not any(torch.equal(picture, pictures[0]) for picture in alone)


@pytest.mark.parametrize(
    ("first", "second", "site"),
    [
        (TGate(4), FasterCache(1, 1, 1), "guidance"),
        (TGate(4), PAB(1, 1, 2), "cross_attention"),
        (TGate(4), PAB(2, 1, 1), "self_attention"),
        (FasterCache(), PAB(2, 1, 1), "self_attention"),
        (SMOOTH, PAB(2, 1, 1), "self_attention"),
        (SMOOTH, PAB(1, 1, 1, feed_forward_starts=(0.5,), feed_forward_count=1,
                     feed_forward_blocks=1), "feed_forward"),
        (SMOOTH, TGate(4, 0, 2, 1), "self_attention"),
        (FasterCache(), SMOOTH, "self_attention"),
    ],
)  # fmt: skip
def test_a_collision_names_both_nodes_and_the_site(first: Any, second: Any, site: str) -> None:
    for one, other in ((first, second), (second, first)):
        with pytest.raises(RuleConflictError) as refusal:
            attach(attach(toys.load("sd15"), one), other)
        words = str(refusal.value)
        assert one.name in words and other.name in words and site in words
        assert "remove one of the two nodes" in words


EASYCACHE = {"reuse_threshold": 0.2, "start_percent": 0.15, "end_percent": 0.95, "verbose": False}
easycache = host.applied("nodes_easycache", "EasyCacheNode", **EASYCACHE)
lazycache = host.applied("nodes_easycache", "LazyCacheNode", **EASYCACHE)


@pytest.mark.parametrize("cache", [easycache, lazycache], ids=["EasyCache", "LazyCache"])
@pytest.mark.parametrize(
    ("method", "model"),
    [(PAB(2, 1, 3, WHOLE_RUN), "wan"), (FasterCache(2, 2, 2, guidance_interval=1), "wan"),
     (TGate(6, 0, 1, 1), "wan"), (DeepCache(3, 0), "sd15"),
     (SmoothCache(((SiteKind.SELF_ATTENTION, None, (True, False) * 6),)), "wan")],
    ids=lambda value: value if isinstance(value, str) else value.name,
)  # fmt: skip
def test_beside_the_caches_of_the_host_runs_are_finite_and_repeatable(
    cache: Any, method: Any, model: str
) -> None:
    for patched in (
        cache(attach(toys.load(model), method)), attach(cache(toys.load(model)), method),
    ):  # fmt: skip
        first = toys.sample(patched, model, steps=12)
        assert torch.isfinite(first).all()
        assert torch.equal(toys.sample(patched, model, steps=12), first)
        assert last_report(patched).outcome == "finished"


def test_easycache_beside_a_rebuilt_branch_is_refused_in_words() -> None:
    patched = attach(easycache(toys.load("wan")), FasterCache())
    with pytest.raises(ConfigError, match=r"^Apply FasterCache: .*EasyCache.*interval to 1"):
        toys.sample(patched, "wan", steps=12)


@pytest.mark.parametrize(
    ("cache", "name"), [(easycache, "EasyCache"), (lazycache, "LazyCache")], ids=["Easy", "Lazy"]
)
def test_two_that_leave_out_evaluations_are_refused(cache: Any, name: str) -> None:
    for patched in (
        cache(attach(toys.load("wan"), StepCache(2.0))),
        attach(cache(toys.load("wan")), StepCache(2.0)),
    ):
        with pytest.raises(ConfigError, match=rf"^Step Cache: .*also carries {name}, .*one of the"):
            toys.sample(patched, "wan", steps=12)


def test_lazycache_beside_a_rebuilt_branch_works() -> None:
    patched = attach(lazycache(toys.load("wan")), GUIDANCE_HALF)
    first = toys.sample(patched, "wan", steps=12)
    assert torch.isfinite(first).all()
    assert last_report(patched).total_reused > 0
