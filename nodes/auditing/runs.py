"""The runs of an audit: three short ones, the audited one, and some with the best cache."""

from __future__ import annotations

from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from statistics import median
from typing import Any, Protocol

import torch

from ... import speed
from ...cache_core.errors import ConfigError, StepCacheError
from ...cache_core.patching import attached, detached, last_report, timeline_of
from ...cache_core.patching.facts import device_name
from ...cache_core.report import Report
from ...speed.listening import STEPS, Heard, Listening
from ...speed.profiling import Profiling
from ...speed.timing import Timed, Timing
from ...speed.trying import Trying
from . import caches, settings
from .audit import LEAST_GAIN, MOST_RECOMMENDED, NAME, Audit, Caching, Recommendation

SHORT = 4
"""Steps of the schedule that short runs begin, at least."""
LONG, MOST_RUNS = 20.0, 5
"""Seconds after which a run is not repeated any more, and how many there are at most."""
MOST_DRAWN = 2
"""Caches that are tried by whole runs: the second one if the first does not hold its promise."""

QUALITY = (
    "Reuses what layers returned, so the picture changes: compare with Step Cache Compare Runs."
)
INSTEAD = "In place of what reuses now."


class Sample(Protocol):
    """Samples a latent.

    Args:
        model: with which.
        steps: of the whole schedule.
        last: where to stop; None at its end.
        sampler: None for that of the workflow.
    """

    def __call__(
        self, model: Any, steps: int, last: int | None = None, sampler: str | None = None
    ) -> Any: ...


def audited(model: Any, sample: Sample, steps: int, *, may_draw: bool) -> tuple[Any, Audit]:
    """Audit a model as it is, with everything attached to it.

    Args:
        model: the host's ``ModelPatcher``; it is not changed.
        sample: with the settings of the workflow.
        steps: of the workflow.
        may_draw: whether the best cache is tried by sampling once more with it.

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
    trying = Trying({name: option.setting for name, option in options.items()})
    profiling = Profiling()
    sample(trying.on(profiling.on(plain)), max(steps, SHORT), STEPS)
    costs, caching = _costs(plain, sample, steps, trying)

    latent, first = _timed(model, sample, steps)
    report = last_report(model) if attached(model) else None
    beside = _Beside(model, sample, steps, report, [first])
    offered: list[Recommendation] = []
    if costs is not None:
        offered = beside.measured(costs) if may_draw else beside.reckoned(costs)
    timed = beside.middle()
    if costs is not None:
        each = timed.seconds / max(timed.evaluations, 1)
        full = report.observed.full_seconds if report is not None and report.observed else None
        caching = costs.caching(full or each, each)
    tried = [*settings.gains(options, trying, timed, report), *offered]
    best = sorted(tried, key=lambda each: -each.gain)
    return latent, Audit(
        model=report.family if report is not None else type(model.model.diffusion_model).__name__,
        device=device_name(torch.device(model.load_device)),
        steps=len(timed.sigmas) - 1,
        attached=(
            *(method.describe() for method in attached(model)),
            *(setting.name for setting in speed.settings_of(model)),
        ),
        reuse=report.measured_speedup if report is not None else None,
        timed=timed,
        runs=len(beside.runs),
        heard=heard,
        profiled=profiling.profiled,
        caching=caching,
        advice=tuple(
            each for each in best if each.is_sure and each.gain >= LEAST_GAIN
        )[:MOST_RECOMMENDED],
        tried={each.name: each.gain for each in best},
        failed=trying.failed,
    )  # fmt: skip


def _heard(model: Any, plain: Any, sample: Sample, steps: int) -> Heard:
    """One evaluation: of the plain model, as caches may leave out what is asked for; waits of all.

    Methods that refuse so short a run go unheard.
    """
    found: list[Heard] = []
    for which in (plain, model) if attached(model) else (plain,):
        listening = Listening()
        with suppress(ConfigError) if which is model else nullcontext():
            sample(listening.on(which), max(steps, SHORT), STEPS)
            found.append(listening.heard)
    return replace(found[0], waits=found[-1].waits)


def _costs(
    plain: Any, sample: Sample, steps: int, trying: Trying
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


def _timed(model: Any, sample: Sample, steps: int) -> tuple[Any, Timed]:
    timing = Timing()
    latent = sample(timing.on(model), steps)
    if timing.timed is None:
        raise StepCacheError(
            f"{NAME}: the sampler never called the model in {steps} steps, so there is nothing to "
            f"measure; expected a run that draws something. Raise steps or denoise"
        )
    return latent, timing.timed


@dataclass(frozen=True, slots=True)
class _Beside:
    """What other caches would be beside the audited run.

    Args:
        model: as it was audited.
        sample, steps: of the run.
        report: of the run, where methods are attached.
        runs: the audited one, and those that repeat it.
    """

    model: Any
    sample: Sample
    steps: int
    report: Report | None
    runs: list[Timed]

    @property
    def count(self) -> int:
        """How often a run is repeated: one short run alone says little."""
        return max(min(round(LONG / self.runs[0].seconds), MOST_RUNS), 1)

    def middle(self) -> Timed:
        """The run that took neither most nor least."""
        while len(self.runs) < self.count:
            self.runs.append(_timed(self.model, self.sample, self.steps)[1])
        return sorted(self.runs, key=lambda run: run.seconds)[(len(self.runs) - 1) // 2]

    def reckoned(self, costs: caches.Costs) -> list[Recommendation]:
        """What is expected of every method; the one that promises most may be recommended."""
        found = self._offers(costs)
        return [
            self._words(offer, gain, "reckoned from the seconds of each kind of layer", number == 0)
            for number, (offer, gain) in enumerate(found)
        ]

    def measured(self, costs: caches.Costs) -> list[Recommendation]:
        """The same, after whole runs with that one; with the next, if it breaks its promise."""
        found = self.reckoned(costs)
        for number, (offer, gain) in enumerate(self._offers(costs)[:MOST_DRAWN]):
            if gain < LEAST_GAIN:
                break
            measured, count = self._compared(offer.model)
            how = f"measured in {count} whole run{'s'[: count > 1]} with it"
            found[number] = self._words(offer, measured, how, measured >= LEAST_GAIN)
            if measured >= LEAST_GAIN:
                break
        return found

    def _offers(self, costs: caches.Costs) -> list[tuple[caches.Offer, float]]:
        """Methods that are not attached, and how much faster than now they are reckoned to be."""
        (run, *_) = self.runs
        sigmas = torch.tensor(run.sigmas)
        timeline = timeline_of(self.model.get_model_object("model_sampling"), sigmas)
        now = (self.report.measured_speedup if self.report is not None else None) or 1.0
        present = {method.describe() for method in attached(self.model)}
        plain = detached(self.model)
        found = caches.offers(plain, costs, timeline, run.has_two_branches)
        others = [(o, o.speedup / now) for o in found if o.method.describe() not in present]
        return sorted(others, key=lambda each: -each[1])

    def _words(self, offer: caches.Offer, gain: float, how: str, is_sure: bool) -> Recommendation:
        caution = f"{INSTEAD} {QUALITY}" if attached(self.model) else QUALITY
        setting = offer.setting or "as it comes"
        return Recommendation(offer.node, setting, gain, how, caution, is_sure)

    def _compared(self, patched: Any) -> tuple[float, int]:
        """Seconds of runs as they are ÷ seconds with another model, by turns; and how often."""
        ratios: list[float] = []
        for number in range(self.count):
            if number == len(self.runs):
                self.runs.append(_timed(self.model, self.sample, self.steps)[1])
            _, other = _timed(patched, self.sample, self.steps)
            ratios.append(self.runs[number].seconds / other.seconds)
        return median(ratios), self.count
