"""What the pack's methods would save, estimated from the seconds of each kind of layer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ..cache_core.calibration import Calibration, Study
from ..cache_core.clock import Timeline
from ..cache_core.errors import StepCacheError
from ..cache_core.estimate import ENOUGH, Observation, Seen
from ..cache_core.host import attach, last_calibration, last_report
from ..cache_core.methods import Calibrate, Method
from ..cache_core.outlook import outlook_of
from ..cache_core.sites import SiteKind, name_of
from .audit import Caching

NO_STEPS = "a run of one step has nothing to reuse; sample with two or more"
MIN_STEPS, MAX_STEPS = 5, 20
LONG = 2.0
"""Seconds of measured steps that are enough."""
FORECAST = 0.02
"""Share of a step that a forecast of its whole evaluation takes on the small DiT; on larger models
less (`benchmarks/results/step_cache.json`)."""
WHOLE = frozenset(map(str, (SiteKind.BLOCK, SiteKind.DEEP_BRANCH, SiteKind.GUIDANCE)))
"""Kinds of sites that contain layers of other kinds."""


@dataclass(frozen=True, slots=True)
class Costs:
    """What one step is made of.

    Args:
        calibration: of a few steps; only its costs and layers count.
        one_branch: seconds of a step with one branch of guidance ÷ of one with both; None where
            only one ran.
    """

    calibration: Calibration
    one_branch: float | None

    @property
    def observed(self) -> Observation:
        """As if a run had been seen that reuses each part by itself; a plain step takes 1."""
        shares = self.calibration.costs.seconds
        seen = [Seen({}, 1.0, ENOUGH), Seen({(SiteKind.EVALUATION, None): 1.0}, FORECAST, ENOUGH)]
        seen += [Seen({part: 1.0}, 1.0 - share, ENOUGH) for part, share in shares.items()]
        if self.one_branch is not None:
            seen.append(Seen({(SiteKind.GUIDANCE, None): 1.0}, self.one_branch, ENOUGH))
        return Observation(tuple(seen), {})

    def caching(self, plain: float, seconds: float) -> Caching:
        """What is still to be saved, of the run that was audited.

        Args:
            plain: seconds of an evaluation in which everything computes.
            seconds: of one of the run, in which methods may reuse already; the mean.
        """
        shares = {name_of(part): n for part, n in self.calibration.costs.seconds.items()}
        layers = sum(n for kind, n in shares.items() if kind.split("-")[0] not in WHOLE)
        most = min(max(layers, *shares.values()), 1.0)
        # What nobody could leave out takes as long in every run.
        still = 1.0 - (1.0 - most) * plain / seconds
        # Deep branches lie in each other: the greatest stands for all.
        deep = sorted((name for name in shares if "-" in name), key=lambda name: -shares[name])
        shown = {name: shares[name] for name in shares if name not in deep[1:]}
        longest = sorted(shown.items(), key=lambda item: -item[1])
        return Caching(dict(longest), min(max(still, 0.0), 1.0))


Measure = Callable[[Any, int], object]
"""Samples so many steps of a model."""


def costs_of(
    plain: Any, measure: Measure, seconds: float | None, one_branch: float | None
) -> Costs:
    """Measure what kinds of layers take, in a few steps of a run.

    Args:
        plain: the model without methods.
        measure: samples.
        seconds: of one evaluation, as far as is known.

    Raises:
        StepCacheError: no layer of this model can be reused, or none could be measured.
    """
    wanted = round(LONG / seconds) if seconds else MIN_STEPS
    steps = max(min(wanted, MAX_STEPS), MIN_STEPS)
    study = Study(deliver=lambda calibration: (calibration, ()), lookahead=1, memory=0)
    measured = attach(plain, Calibrate(study))
    measure(measured, steps)
    calibration = last_calibration(measured)
    if calibration is None or not calibration.costs.seconds:
        report = last_report(measured)
        reason = report.notes[-1] if report is not None and report.notes else "nothing was measured"
        raise StepCacheError(reason)
    return Costs(calibration, one_branch)


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A method that may be recommended.

    Args:
        method: with its settings.
        setting: the inputs of its node that are not as they come, in words.
    """

    method: Method
    setting: str = "as it comes"

    @property
    def name(self) -> str:
        """The node and what is set on it."""
        return f"{self.method.name} ({self.setting})"


@dataclass(frozen=True, slots=True)
class Offer:
    """A method that the model takes.

    Args:
        suggestion: the method with its settings.
        speedup: seconds of a plain run ÷ seconds with it, as estimated.
        model: a clone of the plain model that samples with it.
    """

    suggestion: Suggestion
    speedup: float
    model: Any


def offers(
    plain: Any,
    costs: Costs,
    timeline: Timeline,
    suggestions: Iterable[Suggestion],
    *,
    has_one_branch: bool,
) -> Iterator[Offer]:
    """What the methods that the model takes would save in a run."""
    layers = costs.calibration.model.layers
    for suggestion in suggestions:
        method = suggestion.method
        try:
            rules = method.fitted(timeline).rules()
            outlook = outlook_of(
                rules, timeline, layers, costs.observed, has_one_branch=has_one_branch
            )
            patched = attach(plain, method)
        except StepCacheError:
            continue
        if outlook.speedup is not None:
            yield Offer(suggestion, outlook.speedup, patched)
