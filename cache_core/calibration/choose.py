"""Which schedule to take: by a threshold, a wished speedup or a wished quality."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from ..approximators import Hold
from ..clock import Timeline
from ..errors import ConfigError
from ..rules import Rule
from ..schedule_file import Rows
from ..schedules import Mask
from ..sites import SiteKind, SiteSelector
from .calibration import Calibration
from .prediction import LAYERS, Prediction, predict
from .scan import scan
from .table import ErrorTable, Place

By = Literal["saved", "alpha", "speedup", "quality"]
Parts = Literal["layers", "each layer", "blocks"]


@dataclass(frozen=True, slots=True)
class Wish:
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
class Chosen:
    """A schedule for one run.

    Args:
        rows: compute flags by kind or layer.
        alpha: its threshold.
        prediction: what it saves and loses.
        notes: remarks for the person.
    """

    rows: Rows
    alpha: float
    prediction: Prediction
    notes: tuple[str, ...] = ()


def choose(calibration: Calibration, timeline: Timeline, wish: Wish) -> Chosen:
    """The schedule that a wish means in a run.

    Raises:
        ConfigError: the calibration lacks what the wish is about, or the run lies outside of what
            was calibrated.
    """
    table = calibration.table.at(timeline.sigmas)
    notes = _resampled(calibration, table)
    if wish.by == "saved" and calibration.schedule and not notes:
        prediction = predict(calibration, rules_of(calibration.schedule), timeline)
        return Chosen(calibration.schedule, calibration.alpha, prediction)
    places = _places(calibration, wish)
    lookahead = calibration.lookahead if wish.by == "saved" else wish.lookahead

    def at(alpha: float) -> Chosen:
        rows: Rows = tuple(
            (place.kind, place.index, scan(table.rows[place], table.steps, alpha, lookahead))
            for place in places
        )
        return Chosen(rows, alpha, predict(calibration, rules_of(rows), timeline), notes)

    if wish.by in ("saved", "alpha"):
        return at(calibration.alpha if wish.by == "saved" else wish.value)
    every = [at(alpha) for alpha in _thresholds(table, places, lookahead)]
    return _wished(every, wish)


def rules_of(rows: Rows) -> list[Rule]:
    """Rows as rules, for a prediction."""
    return [
        Rule(
            SiteSelector(kind, None if index is None else frozenset({index})),
            Mask(compute), Hold(), "schedule",
        )
        for kind, index, compute in rows
    ]  # fmt: skip


def _places(calibration: Calibration, wish: Wish) -> list[Place]:
    rows = sorted(place for place in calibration.table.rows if place.branch == "both")
    if wish.parts == "blocks":
        found = [place for place in rows if place.kind is SiteKind.BLOCK and place.index is None]
    else:
        is_single = wish.parts == "each layer"
        found = [p for p in rows if p.kind in LAYERS and (p.index is not None) == is_single]
    if not found:
        known = ", ".join(str(kind) for kind in calibration.kinds)
        raise ConfigError(
            f"the calibration has no errors of {wish.parts}; it has those of {known}. Calibrate "
            f"again with them, or choose other parts"
        )
    return found


def _thresholds(table: ErrorTable, places: list[Place], lookahead: int) -> list[float]:
    """Every threshold at which the schedule may change: the errors themselves."""
    errors = {
        error
        for place in places
        for row in table.rows[place][:lookahead]
        for error in row
        if error < float("inf")
    }
    return [0.0, *sorted(errors)]


def _wished(every: list[Chosen], wish: Wish) -> Chosen:
    """The least error that is fast enough, or the fastest that is good enough."""
    distinct = [next(same) for _, same in groupby(every, key=lambda chosen: chosen.rows)]
    if wish.by == "speedup":
        fast = [c for c in distinct if c.prediction.speedup >= wish.value * 0.995]
        if fast:
            return min(fast, key=lambda chosen: chosen.prediction.error)
        fastest = max(distinct, key=lambda chosen: chosen.prediction.speedup)
        note = (
            f"{wish.value:.2f}× is out of reach: reusing {wish.parts} gives at most "
            f"{fastest.prediction.speedup:.2f}× here. Whole blocks, a greater lookahead or "
            f"another method save more"
        )
        return Chosen(fastest.rows, fastest.alpha, fastest.prediction, (*fastest.notes, note))
    good = [c for c in distinct if c.prediction.error <= 1 - wish.value + 1e-9]
    return max(good, key=lambda chosen: chosen.prediction.speedup)


def _resampled(calibration: Calibration, table: ErrorTable) -> tuple[str, ...]:
    if table is calibration.table:
        return ()
    return (
        f"this run has other noise levels than the calibration ({table.steps} steps, there "
        f"{calibration.table.steps}): its errors were read off between the measured ones. "
        f"Calibrate with this sampler and scheduler for the best schedule",
    )
