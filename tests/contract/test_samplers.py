"""Every sampler that evaluates the model in its own way: midpoints, twice, off the grid."""

from __future__ import annotations

from collections import Counter
from typing import Any

import cases
import observe
import torch
import toys
from comfy.patcher_extension import WrappersMP
from stepcache.cache_core.decisions import TOO_OFTEN
from stepcache.cache_core.host import attach, last_report


@cases.each_case_and_sampler
def test_nothing_reused_is_bit_identical(case: cases.Case, sampler: str) -> None:
    model = toys.load(case.model)
    patched = attach(model, case.idle(4))
    plain = toys.sample(model, case.model, steps=4, sampler=sampler)
    assert torch.equal(toys.sample(patched, case.model, steps=4, sampler=sampler), plain)


@cases.each_case_and_sampler
def test_reuse_is_repeatable_and_counted(case: cases.Case, sampler: str) -> None:
    model = toys.load(case.model)
    patched, steps_seen = _record_steps(attach(model, case.reusing()))
    first = toys.sample(patched, case.model, steps=6, sampler=sampler)
    report, marks = last_report(patched), observe.fingerprint(model)
    assert torch.isfinite(first).all()
    assert report.total_reused > 0
    assert report.evaluations == len(steps_seen)
    if sampler == "dpm_adaptive":
        assert set(report.forced) <= {(kind, TOO_OFTEN) for kind in report.plans}
    else:
        assert not report.forced, "only an adaptive sampler may outstay a stored value"
        visits = Counter(steps_seen)
        for kind, plan in report.plans.items():
            for step, letter in enumerate(plan):
                computed, reused = report.computed[kind, step], report.reused[kind, step]
                assert (computed > 0) == (letter in "CP" and visits[step] > 0)
                assert (reused > 0) == (letter in "RP" and visits[step] > 0)
                assert (computed + reused) % max(visits[step], 1) == 0, "as often as visited"
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
