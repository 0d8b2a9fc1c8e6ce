"""What a calibration says of costs and of influence is what a run that reuses shows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import observe
import pytest
import torch
import toys
from calibrating import STEPS, calibrate
from comfy.patcher_extension import WrappersMP
from stepcache.cache_core.approximators import Hold
from stepcache.cache_core.calibration import Calibration, Part, Place
from stepcache.cache_core.calibration.groups import LAYERS
from stepcache.cache_core.host import attach
from stepcache.cache_core.host.calibration_run.probes import probing_steps, timed_steps
from stepcache.cache_core.host.installation import KEY
from stepcache.cache_core.methods import Method
from stepcache.cache_core.rules import Rule
from stepcache.cache_core.schedules import Mask
from stepcache.cache_core.sites import SiteKind, SiteSelector

DEEP, GUIDANCE, BLOCK = SiteKind.DEEP_BRANCH, SiteKind.GUIDANCE, SiteKind.BLOCK


@dataclass(frozen=True)
class Masked(Method):
    """Reuses parts in some steps and nothing else."""

    name: ClassVar[str] = "masked"
    paper: ClassVar[str] = ""

    parts: tuple[Part, ...]
    compute: tuple[bool, ...]

    def rules(self) -> tuple[Rule, ...]:
        return tuple(
            Rule(SiteSelector(kind, indices), Mask(self.compute), Hold(), self.name)
            for kind, indices in (
                (kind, None if index is None else frozenset({index})) for kind, index in self.parts
            )
        )


# FLOPs and seconds.


@pytest.mark.parametrize("name", ["sd15", "svd", "wan", "flux", "sd3", "koala"])
def test_shares_are_what_a_step_saves_that_reuses(name: str) -> None:
    """Counted by torch's own counter around whole evaluations, which ours is not."""

    def run(model: Any) -> None:
        toys.sample(model, name, steps=2)

    model, found = toys.load(name), calibrate(name, steps=2).calibration
    _, computing = observe.flops_per_evaluation(model, run)
    assert {kind for kind, _ in found.costs.flops} == set(found.model.layers) - {GUIDANCE}
    for part in (each for each in found.costs.flops if each[1] in (None, 0, 1)):
        _, less = observe.flops_per_evaluation(attach(model, Masked((part,), (True, False))), run)
        share = (computing - less) / computing
        assert share > 0
        assert found.costs.flops[part] == pytest.approx(share, rel=0.01), part


@pytest.mark.parametrize("name", ["sd15", "wan"])
def test_seconds_are_shares_too(name: str) -> None:
    found = calibrate(name).calibration
    seconds = found.costs.seconds
    assert set(seconds) == set(found.costs.flops)
    assert all(0 < share < 1 for share in seconds.values())
    # Blocks hold their layers, and a cut further up holds those below it.
    layers = [share for (kind, _), share in seconds.items() if kind in LAYERS]
    assert sum(layers) < seconds[BLOCK, None]
    if name == "sd15":
        assert seconds[DEEP, 0] > seconds[DEEP, 5] > seconds[DEEP, 11]


@pytest.mark.parametrize("name", ["sd15", "wan", "flux"])
def test_asking_takes_a_part_of_an_evaluation(name: str) -> None:
    found = calibrate(name).calibration
    asking = found.costs.asking
    assert {kind for kind, _ in asking} == set(found.model.layers) - {DEEP, GUIDANCE}
    assert all(0 < share < 1 for share in (*asking.values(), found.costs.patching))


@pytest.mark.parametrize(
    ("steps", "others", "expected"),
    [
        (1, (), []),
        (2, (), [1]),
        (9, (), [1, 2, 3, 4, 5, 6, 7, 8]),
        (9, (0, 3, 4), [1, 2, 5, 6, 7, 8]),
        (30, (9, 14, 19), [1, 4, 7, 11, 16, 20, 23, 26]),
        (1000, (), [1, 125, 250, 375, 500, 625, 750, 875]),
    ],
)
def test_some_steps_of_a_run_are_timed(
    steps: int, others: tuple[int, ...], expected: list[int]
) -> None:
    assert sorted(timed_steps(steps, others)) == expected


# Influence.


@pytest.mark.parametrize("sampler", ["euler", "dpm_2"])
@pytest.mark.parametrize(
    ("name", "group"),
    [("wan", "block"), ("wan", "layers"), ("sd3", "layers"), ("sd15", "deep_branch 0")],
)
def test_influence_is_what_reusing_in_that_step_does(name: str, group: str, sampler: str) -> None:
    """All steps before it compute, so that the network meets what it met when calibrated."""
    options: dict[str, Any] = {"steps": STEPS, "cfg": 1.0, "sampler": sampler}
    done = calibrate(name, **options)
    found, step = done.calibration, _sensed_step(done.patched, done.calibration, group)
    parts = _parts_of(group, found.kinds)
    compute = tuple(each != step for each in range(STEPS))
    plain, reused = (
        _output(model, name, step, options)
        for model in (toys.load(name), attach(toys.load(name), Masked(parts, compute)))
    )
    changed = float((reused - plain).abs().sum() / plain.abs().sum())
    changes = [found.table.change(Place(kind, index), step - 1, step) for kind, index in parts]
    assert changed > 0.001
    expected = changed / (sum(changes) / len(changes))
    assert found.influence[group] == pytest.approx(expected, rel=1e-3)


def _sensed_step(patched: Any, found: Calibration, group: str) -> int:
    assigned = patched.model_options["transformer_options"][KEY].assigned
    steps = probing_steps(assigned, STEPS, found.costs.flops)
    (step,) = (step for step, (name, _) in steps.items() if name == group)
    assert 3 <= step <= 8
    return step


def _parts_of(group: str, kinds: Iterable[SiteKind]) -> tuple[Part, ...]:
    if group.startswith(DEEP):
        return ((DEEP, int(group.removeprefix(f"{DEEP} "))),)
    return tuple(
        (kind, None) for kind in kinds if kind in (LAYERS if group == "layers" else {BLOCK})
    )


def _output(model: Any, name: str, step: int, options: dict[str, Any]) -> torch.Tensor:
    """σ times what the network said when a step was first evaluated: x minus the denoised latents,
    for predictions of noise and of flow alike."""
    clone, outputs = model.clone(), []

    def record(executor: Any, x: Any, sigma: Any, model_options: dict[str, Any], *args: Any) -> Any:
        answer = executor(x, sigma, model_options, *args)
        grid = model_options["transformer_options"]["sample_sigmas"]
        if abs(float(sigma[0]) - float(grid[step])) < 1e-4 * float(grid[step]):
            outputs.append(x - answer)
        return answer

    clone.add_wrapper_with_key(WrappersMP.PREDICT_NOISE, "record", record)
    toys.sample(clone, name, **options)
    (output,) = outputs
    return output


def test_memory_is_kept_to() -> None:
    """Without any, nothing is probed, the report says so, and the picture is the same."""
    done = calibrate("wan", study={"memory": 0})
    assert torch.equal(done.picture, toys.sample(toys.load("wan"), "wan", steps=STEPS))
    assert set(done.calibration.influence) == {"guidance"}
    assert "raise memory on SmoothCache Calibrate" in done.notes
    assert {"block", "layers"} <= calibrate("wan").calibration.influence.keys()


def test_guidance_has_the_influence_that_it_has() -> None:
    """(cfg - 1) (cond - uncond), of what both make together, in the timed steps: of a short run all
    but the first."""
    clone = toys.load("wan").clone()
    steps: list[tuple[float, float]] = []

    def record(executor: Any, model: Any, conds: Any, x: Any, sigma: Any, *args: Any) -> Any:
        cond, uncond = executor(model, conds, x, sigma, *args)
        scale = float(sigma[0])
        cond, uncond = (x - cond) / scale, (x - uncond) / scale
        change, guided = 2.0 * (cond - uncond), uncond + 3.0 * (cond - uncond)
        steps.append((float(change.abs().sum()), float(guided.abs().sum())))
        return [x - cond * scale, x - uncond * scale]

    clone.add_wrapper_with_key(WrappersMP.CALC_COND_BATCH, "record", record)
    toys.sample(clone, "wan", steps=4, cfg=3.0)
    found = calibrate("wan", steps=4, cfg=3.0).calibration
    change, guided = (sum(column) for column in zip(*steps[1:], strict=True))
    assert found.influence["guidance"] == pytest.approx(change / guided, rel=1e-3)
