"""Which method to take, with which settings, for a wished speed: by what was measured."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import ClassVar

from .calibration import Calibration, ModelFacts, Prediction, Predictor, Selector, Target, predict
from .calibration.choose import MAX_SEARCHES
from .clock import Timeline
from .errors import ConfigError
from .methods import CalibratedSmoothCache, Method, StepCache
from .methods.step_cache import FEW, MAX_SPEED
from .plan import Plan
from .proposals import is_known, settings_of
from .rules import Rule
from .s_curve import LEAST
from .samplers import sort_of_name
from .sites import SiteKind

NEAR = 0.995
"""What is so near to the wished speedup counts as reaching it."""


@dataclass(frozen=True, slots=True)
class Advised(Method):
    """A method that was chosen for this model; its effect is predicted for every run.

    Args:
        method: the method.
        calibration: by which it was chosen.
        prediction: for the calibrated run; None where whole evaluations are reused.
    """

    paper: ClassVar[str] = ""

    method: Method
    calibration: Calibration
    prediction: Prediction | None = None

    # Frozen: nothing assigns to what the base declares as a variable.
    @property
    def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.method.name

    @property
    def made_for(self) -> ModelFacts:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.calibration.model

    @property
    def notes(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return tuple(dict.fromkeys((*self.calibration.remarks, *self.method.notes)))

    def rules(self) -> tuple[Rule, ...]:
        return self.method.rules()

    def describe(self) -> str:
        return f"{self.method.describe()}, chosen by Step Cache Advisor"

    def fitted(self, timeline: Timeline) -> Advised:
        method = self.method.fitted(timeline)
        if self.prediction is None:
            return replace(self, method=method)
        try:
            prediction = predict(self.calibration, method.rules(), timeline)
        except ConfigError:
            # A run outside of what was calibrated; methods with windows fit it nevertheless.
            prediction = None
        return Advised(method, self.calibration, prediction)


@dataclass(frozen=True, slots=True)
class Advice:
    """One method with settings, and what to expect of it.

    Args:
        method: ready to be attached.
        speedup: predicted, plain seconds ÷ seconds.
        prediction: what it saves and loses; None where whole evaluations are reused.
        reason: why this one, in words.
    """

    method: Method
    speedup: float
    prediction: Prediction | None
    reason: str


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A method with settings; those of one name compete for being told of.

    Args:
        name: of the method and what it acts on.
        method: with settings.
        speedup: plain seconds ÷ seconds.
        told: what it saves and loses, in words.
        error: the less, the sooner it is taken; predicted, 0 … 1, and of a forecast below all that
            is predicted.
        prediction: the same as numbers; None where whole evaluations are reused.
    """

    name: str
    method: Method
    speedup: float
    told: str
    error: float
    prediction: Prediction | None = None

    @classmethod
    def of(cls, method: Method, name: str, prediction: Prediction) -> _Candidate:
        """One that acts inside the network."""
        return cls(name, method, prediction.speedup, str(prediction), prediction.error, prediction)

    def rank(self, speedup: float) -> tuple[float, float]:
        """Fast enough first, then the least error; where nothing is fast enough, the fastest."""
        return -min(self.speedup, speedup * NEAR), self.error


class Advisor:
    """Chooses among all settings of all methods by one calibration.

    Errors of layers say nothing about forecasts of whole evaluations. That these are nearer to the
    plain picture than other methods at an equal share of the work was measured in pictures of
    samplers that add no noise (`benchmarks/results/forecast.md`), and so was that nothing gains
    inside them (`forecast_combined.md`).

    What settings do in a run is predicted once: for another speedup it is only looked up.

    Args:
        calibration: of the model.
    """

    def __init__(self, calibration: Calibration) -> None:
        self.selector = Selector(calibration)
        self._settings = lru_cache(MAX_SEARCHES)(self._predicted)
        self._methods = cache(self._list)

    @property
    def calibration(self) -> Calibration:
        """What is chosen by."""
        return self.selector.calibration

    def advise(self, timeline: Timeline, speedup: float, label: str) -> Advice:
        """Step Cache where it is fast enough; else the least predicted error among all settings of
        all methods that are.

        Args:
            timeline: the calibrated run, with the model's own percents.
            speedup: wished, plain seconds ÷ seconds, >= 1.
            label: where the calibration comes from, for reports.

        Raises:
            ConfigError: a speedup below 1, or a calibration by which nothing can be predicted.
        """
        if not speedup >= 1:
            raise ConfigError(
                f"speedup is {speedup:g}; expected 1 or more (1.5: half as fast again)"
            )
        best: dict[str, _Candidate] = {}
        why_not = self._why_no_forecast(timeline)
        candidates = (
            *(() if why_not else (_forecast(timeline, speedup),)),
            *self._smoothcache(speedup, label),
            *self._settings(timeline),
        )
        for candidate in candidates:
            kept = best.get(candidate.name)
            if kept is None or candidate.rank(speedup) < kept.rank(speedup):
                best[candidate.name] = candidate
        if not best:
            raise ConfigError(
                f"the calibration {label} has no layers that a method could reuse; calibrate again "
                f"with SmoothCache Calibrate"
            )
        ranked = sorted(best.values(), key=lambda candidate: candidate.rank(speedup))
        first = ranked[0]
        method = Advised(first.method, self.calibration, first.prediction)
        told = [_reason(ranked, speedup), *why_not, *self.calibration.remarks]
        return Advice(method, first.speedup, first.prediction, "\n".join(told))

    def _why_no_forecast(self, timeline: Timeline) -> tuple[str, ...]:
        """Why Step Cache is not proposed for the calibrated run, if it is not.

        With a sampler that adds noise, blocks reused by a calibration were nearer on the DiT
        (`benchmarks/results/forecast.md`, dpmpp_2m_sde); UNets were not tried.
        """
        run, layers = self.calibration.run, self.calibration.model.layers
        sort = sort_of_name(run.sampler)
        if sort == "chooses its steps":
            why = f"{run.sampler} chooses its own steps"
        elif sort == "CFG++ of EPS" and run.shift is not None:
            why = f"with {run.sampler} flow models run in every step"
        elif sort == "adds noise" and not layers.get(SiteKind.DEEP_BRANCH):
            why = f"{run.sampler} adds noise, which no forecast foresees"
        elif timeline.steps <= FEW:
            why = f"it loses much in a run of {timeline.steps} steps"
        else:
            return ()
        return (f"Not {StepCache.name}: {why}.",)

    def _smoothcache(self, speedup: float, label: str) -> Iterator[_Candidate]:
        """Of these the schedule itself follows from the wished speedup."""
        calibration = self.calibration
        for parts in ("layers", "blocks"):
            target = Target("speedup", speedup, lookahead=calibration.table.lookahead, parts=parts)
            try:
                method = CalibratedSmoothCache(calibration, target, label, self.selector)
            except ConfigError:
                # The calibration has no such parts.
                continue
            if method.prediction is not None and is_known(method, calibration):
                yield _Candidate.of(method, _name(method), method.prediction)

    def _predicted(self, timeline: Timeline) -> tuple[_Candidate, ...]:
        """All settings whose schedule does not depend on the wished speedup."""
        predictor = Predictor(self.calibration, timeline)
        return tuple(
            _Candidate.of(method, name, predictor.predict(rules))
            for name, method, rules in self._methods()
        )

    def _list(self) -> list[tuple[str, Method, tuple[Rule, ...]]]:
        """Names and rules of all settings that act on what was measured."""
        found = settings_of(self.calibration)
        return [(_name(method), method, method.rules()) for method in found]


def advise(calibration: Calibration, timeline: Timeline, speedup: float, label: str) -> Advice:
    """As `Advisor.advise`, by a calibration that is asked once."""
    return Advisor(calibration).advise(timeline, speedup, label)


def _forecast(timeline: Timeline, speedup: float) -> _Candidate:
    """Step Cache with as many computed steps as are fast enough. A forecast takes next to nothing
    beside an evaluation."""
    steps = timeline.steps
    count = max(math.floor(steps / (speedup * NEAR)), LEAST)
    # To digits that can be set, and not slower for it.
    speed = min(max(math.ceil(100 * steps / count) / 100, 1.0), MAX_SPEED)
    method = StepCache(speed=speed)
    (rule,) = method.rules()
    computed = Plan.of(rule.when, timeline).strip.count("C")
    told = f"{steps / computed:.2f}× faster, {computed} of {steps} steps run the model"
    return _Candidate(method.name, method, steps / computed, told, -math.inf)


def _name(method: Method) -> str:
    """Methods compete, and blocks with layers."""
    kinds = {rule.where.kind for rule in method.rules() if not rule.when.never_reuses}
    return f"{method.name} on whole blocks" if SiteKind.BLOCK in kinds else method.name


def _reason(ranked: Sequence[_Candidate], speedup: float) -> str:
    first, *others = ranked
    lines = [f"{first.name}: {first.told}."]
    if first.speedup < speedup * NEAR:
        lines.append(f"Nothing reaches {speedup:.2f}× here; this is the fastest. Settings:")
    elif first.prediction is None:
        lines.append(
            "In pictures measured with euler this came nearest to the plain ones, of all that is "
            "as fast. Settings:"
        )
    else:
        lines.append(f"That is the least error predicted for {speedup:.2f}×. Settings:")
    lines.append(first.method.describe())
    lines += [f"Instead, {other.name}: {other.told}." for other in others]
    return "\n".join(lines)
