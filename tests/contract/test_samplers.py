"""Every sampler that evaluates the model in its own way: midpoints, twice, off the grid."""

from __future__ import annotations

from typing import Any

import cases
import observe
import pytest
import torch
import toys
from comfy.patcher_extension import WrappersMP
from stepcache.cache_core.patching import attach, last_report

each_sampler = pytest.mark.parametrize("sampler", cases.SAMPLERS)


@each_sampler
@cases.each_trained_or_fast_case
def test_nothing_reused_is_bit_identical(case: cases.Case, sampler: str) -> None:
    model = toys.load(case.model)
    patched = attach(model, case.idle())
    plain = toys.sample(model, case.model, steps=4, sampler=sampler)
    assert torch.equal(toys.sample(patched, case.model, steps=4, sampler=sampler), plain)


@each_sampler
@cases.each_trained_or_fast_case
def test_reuse_is_repeatable_and_counted(case: cases.Case, sampler: str) -> None:
    model = toys.load(case.model)
    patched, steps_seen = _record_steps(attach(model, case.reusing()))
    first = toys.sample(patched, case.model, steps=6, sampler=sampler)
    report, marks = last_report(patched), observe.fingerprint(model)
    assert torch.isfinite(first).all()
    assert report.total_reused > 0
    assert report.evaluations == len(steps_seen)
    for kind, plan in report.plans.items():
        total = sum(n for (k, _), n in (report.computed + report.reused).items() if k == kind)
        per_evaluation = total // report.evaluations
        planned = sum(plan[step] == "R" for step in steps_seen) * per_evaluation
        forced = sum(n for (k, _), n in report.forced.items() if k == kind)
        reused = sum(n for (k, _), n in report.reused.items() if k == kind)
        assert reused == planned - forced
    if sampler != "dpm_adaptive":
        assert not report.forced, "only an adaptive sampler may outstay a stored value"
    assert torch.equal(toys.sample(patched, case.model, steps=6, sampler=sampler), first)
    assert observe.fingerprint(model) == marks


def _record_steps(model: Any) -> tuple[Any, list[int]]:
    """The step of every evaluation, located by the tests' own arithmetic."""
    clone = model.clone()
    steps: list[int] = []

    def record(executor: Any, x: Any, sigma: Any, options: dict[str, Any], *args: Any) -> Any:
        grid = options["transformer_options"]["sample_sigmas"].tolist()[:-1]
        now = float(sigma[0])
        near = [i for i, point in enumerate(grid) if abs(point - now) <= 1e-4 * point]
        above = [i for i, point in enumerate(grid) if point >= now]
        steps.append(near[0] if near else max(above, default=0))
        return executor(x, sigma, options, *args)

    clone.add_wrapper_with_key(WrappersMP.PREDICT_NOISE, "record_steps", record)
    return clone, steps
