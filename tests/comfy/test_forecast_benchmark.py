"""The harness of the comparison: what it attaches changes what it says, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import observe
import pytest
import torch
import toys
from comfy.patcher_extension import WrappersMP
from stepcache.cache_core.host import attach
from stepcache.cache_core.methods.step_cache import StepCache

from benchmarks.forecast_patches import fewer_steps, host_cache, metered
from benchmarks.forecast_rules import Chebyshev, FirstBlock, Planned, Rule, Taylor
from benchmarks.forecast_training import MOST, highest_threshold
from benchmarks.forecast_trunk import ruled

MODELS = ("shapes_dit", "shapes_unet")
STEPS = 6
EVERY = range(STEPS)
RULES: dict[str, Callable[[], Rule]] = {
    "Taylor": lambda: Planned(EVERY, Taylor(2)),
    "Chebyshev": lambda: Planned(EVERY, Chebyshev(4, 0.1, 0.5, STEPS), is_of_hidden=True),
    "first block": lambda: FirstBlock(0.0),
}
WHOLE: dict[str, Callable[[Any], Any]] = {
    **{name: lambda model, rule=rule: ruled(model, rule) for name, rule in RULES.items()},
    "fewer steps": lambda model: fewer_steps(model, STEPS, "euler"),
    "EasyCache": lambda model: host_cache(model, "EasyCache", 0.0),
    "LazyCache": lambda model: host_cache(model, "LazyCache", 0.0),
    "Step Cache": lambda model: attach(model, StepCache(speed=1.0)),
    "meter": lambda model: metered(model)[0],
}
"""Everything at share 1."""


def sample(model: Any, name: str, steps: int = STEPS, batch: int = 2, **more: Any) -> torch.Tensor:
    return toys.sample(model, name, steps=steps, batch=batch, cfg=2.0, **more)


@cache
def plain(name: str) -> torch.Tensor:
    """The picture with nothing attached, drawn once: whatever happens to its model later."""
    return sample(toys.load(name), name)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("what", WHOLE)
def test_what_computes_everything_is_bit_identical(what: str, name: str) -> None:
    model, before = toys.load(name), plain(name)
    assert torch.equal(sample(WHOLE[what](model), name), before)
    assert torch.equal(sample(model, name), before)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("sampler", ["euler", "dpmpp_2m"])
def test_fewer_steps_are_what_a_person_would_set(sampler: str, name: str) -> None:
    model = toys.load(name)
    assert torch.equal(
        sample(fewer_steps(model, 3, sampler), name),
        sample(model, name, steps=3, sampler=sampler),
    )


@pytest.mark.parametrize("name", MODELS)
def test_flops_are_those_of_the_evaluations(name: str) -> None:
    model = toys.load(name)
    counted = {}
    for steps, batch in ((STEPS, 1), (STEPS, 3), (3, 1)):
        patched, meter = metered(fewer_steps(model, steps, "euler"))
        sample(patched, name, batch=batch)
        counted[steps, batch] = meter.flops
    assert counted[STEPS, 3] == 3 * counted[STEPS, 1]
    assert counted[STEPS, 1] == 2 * counted[3, 1] > 0


REUSING: dict[str, Callable[[], Rule]] = {
    "held": lambda: Planned({0, 3}, Taylor(0)),
    "a line": lambda: Planned({0, 1, 3}, Taylor(1)),
    "Chebyshev": lambda: Planned({0, 1, 3}, Chebyshev(1, 1e-6, 0.0, STEPS), is_of_hidden=True),
    "first block": lambda: FirstBlock(1e-3),
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("what", REUSING)
def test_where_nothing_changes_a_forecast_is_what_would_be_computed(what: str, name: str) -> None:
    still = observe.hold_network_still(toys.load(name))
    plain = sample(still, name)
    patched, meter = metered(ruled(still, REUSING[what]))
    answered = sample(patched, name)
    # Sums and differences of hidden states are rounded.
    assert (answered - plain).abs().max() < 1e-4 * plain.abs().max()
    whole, full = metered(still)
    sample(whole, name)
    assert meter.flops < 0.75 * full.flops


@pytest.mark.parametrize("name", MODELS)
def test_a_rule_forgets_between_runs(name: str) -> None:
    model = toys.load(name)
    patched = ruled(model, lambda: Planned({0, 1, 4}, Taylor(1)))
    first = sample(patched, name)
    assert torch.equal(sample(patched, name), first)
    assert not torch.equal(first, sample(model, name))


def test_a_sampler_that_asks_twice_in_a_step_is_refused() -> None:
    patched = ruled(toys.load("shapes_dit"), REUSING["held"])
    with pytest.raises(RuntimeError, match="asked again in step"):
        sample(patched, "shapes_dit", sampler="heun")


@pytest.mark.parametrize(
    ("attach_cache", "is_spoiled"),
    [
        (lambda model: host_cache(model, "EasyCache", MOST), False),
        (lambda model: _as_the_host_has_it(model, MOST), True),
    ],
    ids=["as compared", "as the host has it"],
)
def test_the_hosts_cache_leaves_the_samplers_latent_alone(
    attach_cache: Callable[[Any], Any], is_spoiled: bool
) -> None:
    model = attach_cache(toys.load("shapes_dit"))
    spoiled: list[bool] = []

    def watch(executor: Any, x: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        before = x.clone()
        answer = executor(x, *args, **kwargs)
        spoiled.append(not torch.equal(x, before))
        return answer

    model.add_wrapper_with_key(WrappersMP.APPLY_MODEL, "watch", watch)
    sample(model, "shapes_dit", steps=12)
    assert any(spoiled) == is_spoiled


def _as_the_host_has_it(model: Any, threshold: float) -> Any:
    from comfy_extras.nodes_easycache import EasyCacheNode

    return EasyCacheNode.execute(model, threshold, 0.15, 0.95, False).args[0]


@pytest.mark.parametrize(
    ("wanted", "share"), [(0.75, 0.75), (0.5, 0.5), (0.26, 0.5), (0.25, 0.25), (0.1, 0.25)]
)
def test_a_threshold_meets_a_share_from_above(wanted: float, share: float) -> None:
    known: dict[float, float] = {}

    def share_at(threshold: float) -> float:
        known[threshold] = max(0.25, 1 - int(threshold / 0.4) / 4)
        return known[threshold]

    found = highest_threshold(share_at, known, wanted)
    assert share_at(found) == share
    assert len(known) < 20
