"""Which schedule to take: by a threshold, a wished speedup or a wished quality."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from ..approximators import Hold
from ..clock import Timeline
from ..errors import ConfigError
from ..rules import Rule
from ..schedule_file import Rows
from ..schedules import Mask
from ..sites import SiteKind, SiteSelector
from .calibration import Calibration
from .groups import LAYERS
from .prediction import Prediction, Predictor, predict
from .scan import scan
from .search import Search
from .table import ErrorTable, Lags, Place, changes_of

By = Literal["saved", "alpha", "speedup", "quality"]
Parts = Literal["layers", "each layer", "blocks"]

MAX_SEARCHES = 4
"""Runs of which a chooser keeps what it searched: one is moved about, and some compared."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a person asks of a schedule.

    Args:
        by: "saved" takes the schedule in the file; "alpha" a threshold; "speedup" and "quality"
            search for the threshold.
        value: alpha >= 0; speedup >= 1; quality 0 … 1, which is 1 - predicted error.
        lookahead: most steps in a row that reuse.
        parts: kinds of layers, each layer by itself, or whole blocks.

    Raises:
        ConfigError: a value out of range.
    """

    by: By = "saved"
    value: float = 0.0
    lookahead: int = 3
    parts: Parts = "layers"

    def __post_init__(self) -> None:
        low, high = {"speedup": (1.0, 100.0), "quality": (0.0, 1.0)}.get(self.by, (0.0, 1000.0))
        if not low <= self.value <= high:
            raise ConfigError(f"{self.by} is {self.value:g}; expected {low:g} to {high:g}")
        if self.lookahead < 1:
            raise ConfigError(f"lookahead is {self.lookahead}; expected 1 or more steps")


@dataclass(frozen=True, slots=True)
class Selection:
    """A schedule for one run.

    Args:
        rows: compute flags by kind or layer.
        alpha: its threshold.
        lookahead: most steps in a row that reuse.
        prediction: what it saves and loses.
        notes: remarks for the person.
    """

    rows: Rows
    alpha: float
    lookahead: int
    prediction: Prediction
    notes: tuple[str, ...] = ()


class Selector:
    """Schedules of one calibration. What was searched in a run is kept: another speedup or quality
    is then only looked up.

    Args:
        calibration: what was measured.
    """

    def __init__(self, calibration: Calibration) -> None:
        self.calibration = calibration
        self._resampled = lru_cache(MAX_SEARCHES)(self._resample)
        self._searched = lru_cache(MAX_SEARCHES)(self._search)

    def __reduce__(self) -> tuple[type[Selector], tuple[Calibration]]:
        # What was searched is found again.
        return Selector, (self.calibration,)

    def choose(self, timeline: Timeline, target: Target) -> Selection:
        """The schedule that a wish means in a run.

        Raises:
            ConfigError: the calibration lacks what the wish is about, or the run lies outside of
                what was calibrated.
        """
        if target.by in ("speedup", "quality"):
            costs = self.calibration.costs
            if not (costs.seconds or costs.flops):
                raise ConfigError(
                    f"the calibration does not say what layers cost, so that no {target.by} can be "
                    f"searched for; choose by alpha, or calibrate again"
                )
            return self._aimed(timeline, target)
        measured, notes = self._resampled(timeline)
        lookahead = target.lookahead
        if target.by == "saved":
            if measured.schedule and not notes:
                rows, alpha, lookahead = measured.schedule, measured.alpha, measured.lookahead
                prediction = predict(measured, rules_of(rows), timeline)
                return Selection(rows, alpha, lookahead, prediction)
            target = replace(target, value=measured.alpha)
            lookahead = measured.lookahead
        rows = _by_alpha(measured, target, lookahead)
        prediction = predict(measured, rules_of(rows), timeline)
        return Selection(rows, target.value, lookahead, prediction, notes)

    def _aimed(self, timeline: Timeline, target: Target) -> Selection:
        """The least error that is fast enough, or the fastest that is good enough."""
        search = self._searched(timeline, target.parts, target.lookahead)
        _, notes = self._resampled(timeline)
        found = search.good(target.value) if target.by == "quality" else search.fast(target.value)
        if found is None:
            found = search.fastest()
            other = "single layers" if target.parts == "blocks" else "whole blocks"
            notes += (
                f"{target.value:.2f}× is out of reach: reusing {target.parts} gives at most "
                f"{found.speedup:.2f}× here. A greater lookahead, {other} or another method may "
                f"save more",
            )
        predictor = search.predictor
        rows = _rows(found.changes, predictor.table, found.alpha, found.lookahead)
        prediction = predictor.predict(rules_of(rows))
        return Selection(rows, found.alpha, found.lookahead, prediction, notes)

    def _search(self, timeline: Timeline, parts: Parts, lookahead: int) -> Search:
        """Every schedule that a threshold could give, with what it would do."""
        measured, _ = self._resampled(timeline)
        places = _places(measured, Target("speedup", 1.0, lookahead, parts))
        return Search(Predictor(measured, timeline), places, lookahead)

    def _resample(self, timeline: Timeline) -> tuple[Calibration, tuple[str, ...]]:
        """The calibration at the noise levels of a run, and what to say of that."""
        table = self.calibration.table.at(timeline.sigmas)
        return replace(self.calibration, table=table), _remarks(self.calibration, table)


def choose(calibration: Calibration, timeline: Timeline, target: Target) -> Selection:
    """As `Selector.choose`, of a calibration that is asked once."""
    return Selector(calibration).choose(timeline, target)


def _by_alpha(calibration: Calibration, target: Target, lookahead: int) -> Rows:
    table = calibration.table
    changes = {place: table.rows[place] for place in _places(calibration, target)}
    return _rows(changes, table, target.value, lookahead)


def _rows(changes: Mapping[Place, Lags], table: ErrorTable, alpha: float, lookahead: int) -> Rows:
    errors = changes_of(changes.values(), table.steps, table.lookahead)
    (compute,) = scan(errors, [alpha], lookahead).tolist()
    return tuple(
        (place.kind, place.index, tuple(row)) for place, row in zip(changes, compute, strict=True)
    )


def scheduled(calibration: Calibration) -> Calibration:
    """The calibration with a schedule by its own threshold, to be saved with it."""
    parts: Parts = "layers"
    if not any(kind in LAYERS for kind in calibration.kinds):
        parts = "blocks"
    if parts == "blocks" and calibration.lacks(SiteKind.BLOCK):
        return calibration
    target = Target("alpha", calibration.alpha, calibration.lookahead, parts)
    return replace(calibration, schedule=_by_alpha(calibration, target, target.lookahead))


def rules_of(rows: Rows) -> list[Rule]:
    """Rows as rules, for a prediction; a row for one layer wins over the row for its kind."""
    alone = {(kind, index) for kind, index, _ in rows if index is not None}
    return [
        Rule(
            SiteSelector(kind, excluded=frozenset(i for k, i in alone if k is kind))
            if index is None
            else SiteSelector(kind, frozenset({index})),
            Mask(compute),
            Hold(),
            "schedule",
        )
        for kind, index, compute in rows
    ]


def _places(calibration: Calibration, target: Target) -> list[Place]:
    rows = [place for place in calibration.table.rows if place.branch == "both"]
    if target.by == "saved" and calibration.schedule:
        saved = {Place(kind, index) for kind, index, _ in calibration.schedule}
        found = [place for place in rows if place in saved]
    elif target.parts == "blocks":
        found = [place for place in rows if place.kind is SiteKind.BLOCK and place.index is None]
    else:
        is_single = target.parts == "each layer"
        found = [p for p in rows if p.kind in LAYERS and (p.index is not None) == is_single]
    if not found:
        known = ", ".join(str(kind) for kind in calibration.kinds)
        raise ConfigError(
            f"the calibration has no errors of {target.parts}; it has those of {known}. Calibrate "
            f"again with them, or choose other parts"
        )
    # The mean of a kind has no index, and comes before its layers.
    return sorted(found, key=lambda place: (place.kind, place.index is not None, place.index or 0))


def _remarks(calibration: Calibration, table: ErrorTable) -> tuple[str, ...]:
    if table is calibration.table:
        return ()
    return (
        f"this run has other noise levels than the calibration ({table.steps} steps, there "
        f"{calibration.table.steps}): its errors were read off between the measured ones. "
        f"Calibrate with this sampler and scheduler for the best schedule",
    )
