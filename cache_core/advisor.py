"""Which method to take, with which settings, for a wished speed: by what a calibration measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import product
from typing import ClassVar

from .approximators import Constant
from .calibration import (
    Calibration,
    Chooser,
    ModelFacts,
    Place,
    Prediction,
    Predictor,
    Wish,
    predict,
)
from .calibration.choose import MOST_SEARCHES
from .calibration.groups import branch_of
from .clock import Timeline
from .errors import ConfigError
from .methods import PAB, CalibratedSmoothCache, DeepCache, FasterCache, Method, TGate
from .rules import Rule
from .schedules import PercentRange
from .sites import SiteKind

WINDOWS = tuple(
    PercentRange(start, end) for start, end in product((0.0, 0.1, 0.2, 0.3), (0.9, 1.0))
)
_SPATIAL = frozenset({SiteKind.SELF_ATTENTION, SiteKind.JOINT_ATTENTION})
NEAR = 0.995
"""What is so near to the wished speedup counts as reaching it."""


@dataclass(frozen=True, slots=True)
class Advised(Method):
    """A method whose effect on this model is predicted for every run.

    Args:
        method: the method.
        calibration: by which it was chosen.
        prediction: for the calibrated run.
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
        prediction: what it saves and loses.
        reason: why this one, in words.
    """

    method: Method
    prediction: Prediction
    reason: str


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A method with settings; those of one name compete for being told of."""

    name: str
    method: Method
    prediction: Prediction

    def rank(self, speedup: float) -> tuple[float, float]:
        """Fast enough first, then the least error; where nothing is, the fastest."""
        reached = min(self.prediction.speedup, speedup * NEAR)
        return -reached, self.prediction.error


class Advisor:
    """Chooses among all settings of all methods by one calibration.

    What settings do in a run is predicted once: for another speedup it is only looked up.

    Args:
        calibration: of the model.
    """

    def __init__(self, calibration: Calibration) -> None:
        self.chooser = Chooser(calibration)
        self._settings = lru_cache(MOST_SEARCHES)(self._predicted)
        self._methods = cache(self._list)

    @property
    def calibration(self) -> Calibration:
        """What is chosen by."""
        return self.chooser.calibration

    def advise(self, timeline: Timeline, speedup: float, label: str) -> Advice:
        """The least predicted error among all settings of all methods that are fast enough.

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
        for candidate in (*self._smoothcache(speedup, label), *self._settings(timeline)):
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
        reason = "\n".join([_reason(ranked, speedup), *self.calibration.remarks])
        return Advice(method, first.prediction, reason)

    def _smoothcache(self, speedup: float, label: str) -> Iterator[_Candidate]:
        """Of these the schedule itself follows from the wished speedup."""
        calibration = self.calibration
        for parts in ("layers", "blocks"):
            wish = Wish("speedup", speedup, lookahead=calibration.table.lookahead, parts=parts)
            try:
                method = CalibratedSmoothCache(calibration, wish, label, self.chooser)
            except ConfigError:
                # The calibration has no such parts.
                continue
            if method.prediction is not None and _is_known(method, calibration):
                yield _Candidate(_name(method), method, method.prediction)

    def _predicted(self, timeline: Timeline) -> tuple[_Candidate, ...]:
        """All settings whose schedule does not depend on the wished speedup."""
        predictor = Predictor(self.calibration, timeline)
        return tuple(
            _Candidate(name, method, predictor.predict(rules))
            for name, method, rules in self._methods()
        )

    def _list(self) -> list[tuple[str, Method, tuple[Rule, ...]]]:
        """Names and rules of all settings that act on what was measured."""
        calibration = self.calibration
        known = set(calibration.kinds)
        methods = (
            *_pab(known),
            *_deepcache(calibration),
            *_fastercache(known),
            *_tgate(known, calibration.table.steps),
        )
        return [
            (_name(method), method, method.rules())
            for method in methods
            if _is_known(method, calibration)
        ]


def advise(calibration: Calibration, timeline: Timeline, speedup: float, label: str) -> Advice:
    """As `Advisor.advise`, by a calibration that is asked once."""
    return Advisor(calibration).advise(timeline, speedup, label)


def _name(method: Method) -> str:
    """Methods compete, and blocks with layers."""
    kinds = {rule.where.kind for rule in method.rules() if not rule.when.never_reuses}
    return f"{method.name} on whole blocks" if SiteKind.BLOCK in kinds else method.name


def _reason(ranked: Sequence[_Candidate], speedup: float) -> str:
    first, *others = ranked
    is_reached = first.prediction.speedup >= speedup * NEAR
    lines = [f"{first.name}: {first.prediction}."]
    if is_reached:
        lines.append(f"That is the least error predicted for {speedup:.2f}×. Settings:")
    else:
        lines.append(f"Nothing reaches {speedup:.2f}× here; this is the fastest. Settings:")
    lines.append(first.method.describe())
    lines += [f"Instead, {other.name}: {other.prediction}." for other in others]
    return "\n".join(lines)


def _is_known(method: Method, calibration: Calibration) -> bool:
    """Whether the errors are known of everything that the settings act on here."""
    known = set(calibration.kinds)
    active = [rule for rule in method.rules() if not rule.when.never_reuses]
    kinds = {rule.where.kind for rule in active} & _kinds_of_model(calibration)
    return bool(kinds) and kinds <= known and _is_complete(active, kinds)


def _kinds_of_model(calibration: Calibration) -> set[SiteKind]:
    return {kind for kind, count in calibration.model.layers.items() if count}


def _is_complete(rules: list[Rule], kinds: set[SiteKind]) -> bool:
    """Whether the model has what the settings insist on; spatial attention is of one sort or the
    other."""
    has = kinds | (_SPATIAL if kinds & _SPATIAL else set[SiteKind]())
    return all(rule.where.kind in has for rule in rules if rule.is_required)


def _pab(known: set[SiteKind]) -> Iterator[Method]:
    others = (2, 3, 4, 6, 8) if SiteKind.CROSS_ATTENTION in known else (1,)
    over_time = (2, 4) if SiteKind.TEMPORAL_ATTENTION in known else (1,)
    for own, time, cross, window in product((1, 2, 3, 4), over_time, others, WINDOWS):
        yield PAB(own, time, cross, window)
    for block, window in product((2, 3, 4, 5), WINDOWS):
        yield PAB(block=block, window=window)


def _deepcache(calibration: Calibration) -> Iterator[Method]:
    """Only branches whose influence on the picture was measured."""
    rows = calibration.table.rows
    found = (branch_of(group) for group in calibration.influence)
    branches = [b for b in found if b is not None and Place(SiteKind.DEEP_BRANCH, b) in rows]
    for branch, interval in product(branches, range(2, 9)):
        yield DeepCache(interval, branch)


def _fastercache(known: set[SiteKind]) -> Iterator[Method]:
    if SiteKind.GUIDANCE not in known:
        return
    weights = tuple(Constant(value) for value in (0.0, 0.25, 0.5, 0.75, 1.0))
    for start, interval in product((0.15, 0.25, 1 / 3, 0.5), (2, 3, 4, 5, 8)):
        window = PercentRange(start, 1.0)
        for attention in (1, 2, 3):
            for weight in weights if attention > 1 else weights[:1]:
                yield FasterCache(
                    attention, attention, 1,
                    attention_window=window, weight=weight,
                    guidance_interval=interval, guidance_window=window,
                )  # fmt: skip


def _tgate(known: set[SiteKind], steps: int) -> Iterator[Method]:
    if SiteKind.CROSS_ATTENTION not in known:
        return
    for share, interval in product((0.4, 0.5, 0.6, 0.7, 0.8), (1, 2, 3, 5)):
        gate = round(share * steps)
        if gate > 2:
            yield TGate(gate, 2, interval)
