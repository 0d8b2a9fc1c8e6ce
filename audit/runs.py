"""The runs of an audit: short ones, the audited one, and it by turns with what would be faster."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import nullcontext, suppress
from dataclasses import replace
from typing import Any

import torch

from .. import torch_settings
from ..cache_core.errors import ConfigError, StepCacheError
from ..cache_core.host import attached, detached, last_report
from ..cache_core.host.compatibility.fingerprint import device_name
from . import advice, caches, settings
from .ab_test import AbTest
from .audit import MAX_RECOMMENDED, NAME, Audit, Caching
from .interleaved_runs import SHORT, Rounds, Sample
from .op_trace import STEPS, OpTrace, OpTracer
from .profiling import Profiling


def audited(
    model: Any,
    sample: Sample,
    steps: int,
    suggestions: Iterable[caches.Suggestion],
    *,
    may_draw: bool,
) -> tuple[Any, Audit]:
    """Audit a model as it is, with everything attached to it.

    Args:
        model: the host's ``ModelPatcher``; it is not changed.
        sample: with the settings of the workflow.
        steps: of the workflow.
        suggestions: methods that may be recommended.
        may_draw: whether whole runs may be sampled beside it, with what promises most and without
            anything of this pack.

    Returns:
        What the audited run sampled, to the last bit as without the audit; and the audit.

    Raises:
        StepCacheError: the sampler never called the model, or SmoothCache Calibrate measures it.
    """
    if any(method.study is not None for method in attached(model)):
        raise StepCacheError(
            f"{NAME}: SmoothCache Calibrate is attached to this model, and would take the runs of "
            f"the audit for pictures to measure. Connect the model from before it"
        )
    plain = detached(model)
    heard = _heard(model, plain, sample, steps)
    options = settings.options_for(model, heard)
    trying = AbTest({name: option.setting for name, option in options.items()})
    profiling = Profiling()
    sample(trying.on(profiling.on(plain)), max(steps, SHORT), STEPS)
    costs, caching = _costs(plain, sample, steps, trying)

    rounds = Rounds(model, sample, steps)
    run = rounds.runs[0]
    report = last_report(model) if attached(model) else None
    offers = advice.offers(model, costs, run, report, suggestions) if costs is not None else {}
    lines = [*settings.gains(options, trying, run, report), *advice.estimated(model, offers)]
    if may_draw:
        lines = advice.measured(model, rounds, options, offers, lines)
    gained = advice.gained(model, rounds) if may_draw else None
    timed = rounds.middle()
    if costs is not None:
        each = timed.seconds / max(timed.evaluations, 1)
        full = report.observed.full_seconds if report is not None and report.observed else None
        caching = costs.caching(full or each, each)
    best = sorted(lines, key=lambda each: -each.gain)
    return rounds.latent, Audit(
        model=report.family if report is not None else type(model.model.diffusion_model).__name__,
        device=device_name(torch.device(model.load_device)),
        steps=len(timed.sigmas) - 1,
        attached=(
            *(method.describe() for method in attached(model)),
            *(setting.name for setting in torch_settings.settings_of(model)),
        ),
        reuse=report.measured_speedup if report is not None else None,
        timed=timed,
        runs=len(rounds.runs),
        heard=heard,
        profiled=profiling.profiled,
        caching=caching,
        gained=gained,
        advice=tuple(each for each in best if each.is_worth_it)[:MAX_RECOMMENDED],
        tried={each.name: each.gain for each in best},
        failed=trying.failed,
    )  # fmt: skip


def _heard(model: Any, plain: Any, sample: Sample, steps: int) -> OpTrace:
    """One evaluation: of the plain model, as caches may leave out what is asked for; waits of all.

    Methods that refuse so short a run go unheard.
    """
    found: list[OpTrace] = []
    for which in (plain, model) if attached(model) else (plain,):
        listening = OpTracer()
        with suppress(ConfigError) if which is model else nullcontext():
            sample(listening.on(which), max(steps, SHORT), STEPS)
            found.append(listening.heard)
    return replace(found[0], waits=found[-1].waits)


def _costs(
    plain: Any, sample: Sample, steps: int, trying: AbTest
) -> tuple[caches.Costs | None, Caching]:
    """What layers take; or why that is not known."""
    if steps < 2:
        return None, Caching(reason=caches.NO_STEPS)

    def measure(measured: Any, count: int) -> None:
        # What a step costs is the same with any sampler, and this one steps evenly.
        sample(measured, max(steps, count), count, "euler")

    one = trying.one_branch
    try:
        return caches.costs_of(plain, measure, trying.plain, one and one.ratio), Caching()
    except StepCacheError as error:
        return None, Caching(reason=str(error))
