"""Which schedule to take: by a threshold, a wished speedup or a wished quality."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
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
from .prediction import Forecast, Prediction, predict
from .scan import scan
from .table import ErrorTable, Lags, Place

By = Literal["saved", "alpha", "speedup", "quality"]
Parts = Literal["layers", "each layer", "blocks"]

SEARCHED_ROWS = 20_000
"""Rows that a search for a threshold makes and judges at most: some seconds."""
MOST_SEARCHES = 4
"""Runs of which a chooser keeps what it searched: one is moved about, and some compared."""


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
        lookahead: most steps in a row that reuse.
        prediction: what it saves and loses.
        notes: remarks for the person.
    """

    rows: Rows
    alpha: float
    lookahead: int
    prediction: Prediction
    notes: tuple[str, ...] = ()


class Chooser:
    """Schedules of one calibration. What was searched in a run is kept: another speedup or quality
    is then only looked up.

    Args:
        calibration: what was measured.
    """

    def __init__(self, calibration: Calibration) -> None:
        self.calibration = calibration
        self._resampled = lru_cache(MOST_SEARCHES)(self._resample)
        self._searched = lru_cache(MOST_SEARCHES)(self._search)

    def choose(self, timeline: Timeline, wish: Wish) -> Chosen:
        """The schedule that a wish means in a run.

        Raises:
            ConfigError: the calibration lacks what the wish is about, or the run lies outside of
                what was calibrated.
        """
        if wish.by in ("speedup", "quality"):
            costs = self.calibration.costs
            if not (costs.seconds or costs.flops):
                raise ConfigError(
                    f"the calibration does not say what layers cost, so that no {wish.by} can be "
                    f"searched for; choose by alpha, or calibrate again"
                )
            return _wished(self._searched(timeline, wish.parts, wish.lookahead), wish)
        measured, notes = self._resampled(timeline)
        lookahead = wish.lookahead
        if wish.by == "saved":
            if measured.schedule and not notes:
                rows, alpha, lookahead = measured.schedule, measured.alpha, measured.lookahead
                prediction = predict(measured, rules_of(rows), timeline)
                return Chosen(rows, alpha, lookahead, prediction)
            wish = replace(wish, value=measured.alpha)
            lookahead = measured.lookahead
        changes = {place: measured.table.rows[place] for place in _places(measured, wish)}
        rows = _rows(changes, measured.table.steps, wish.value, lookahead)
        prediction = predict(measured, rules_of(rows), timeline)
        return Chosen(rows, wish.value, lookahead, prediction, notes)

    def _search(self, timeline: Timeline, parts: Parts, lookahead: int) -> tuple[Chosen, ...]:
        """Every schedule that a threshold could give, with what it would do."""
        measured, notes = self._resampled(timeline)
        table = measured.table
        places = _places(measured, Wish("speedup", 1.0, lookahead, parts))
        changes = {place: table.rows[place] for place in places}
        # Shorter hops at a higher threshold are as fast, and often nearer to the plain run. So are
        # layers that all reuse in the same steps: in the others everything is computed, and right.
        in_step = dict.fromkeys(places, table.mean(places))
        forecast = Forecast(measured, timeline)
        found: dict[Rows, tuple[float, int]] = {}
        hops = range(1, min(lookahead, table.lookahead) + 1)
        for lags, hop in product((changes, in_step), hops):
            scans = {row: _scanner(row, table.steps, hop) for row in set(lags.values())}
            for alpha in _thresholds(lags, hop, SEARCHED_ROWS // (2 * len(hops))):
                rows = tuple((p.kind, p.index, scans[row](alpha)) for p, row in lags.items())
                found.setdefault(rows, (alpha, hop))
        return tuple(
            Chosen(rows, alpha, hop, forecast.predict(rules_of(rows)), notes)
            for rows, (alpha, hop) in found.items()
        )

    def _resample(self, timeline: Timeline) -> tuple[Calibration, tuple[str, ...]]:
        """The calibration at the noise levels of a run, and what to say of that."""
        table = self.calibration.table.at(timeline.sigmas)
        return replace(self.calibration, table=table), _remarks(self.calibration, table)


def choose(calibration: Calibration, timeline: Timeline, wish: Wish) -> Chosen:
    """As `Chooser.choose`, of a calibration that is asked once."""
    return Chooser(calibration).choose(timeline, wish)


def _rows(changes: Mapping[Place, Lags], steps: int, alpha: float, lookahead: int) -> Rows:
    return tuple(
        (place.kind, place.index, scan(lags, steps, alpha, lookahead))
        for place, lags in changes.items()
    )


def _scanner(lags: Lags, steps: int, lookahead: int) -> Callable[[float], tuple[bool, ...]]:
    """`scan` for any threshold; between two errors it finds the same."""
    errors = sorted({error for row in lags[:lookahead] for error in row})
    found: dict[int, tuple[bool, ...]] = {}

    def scanned(alpha: float) -> tuple[bool, ...]:
        within = bisect_right(errors, alpha)
        if within not in found:
            found[within] = scan(lags, steps, alpha, lookahead)
        return found[within]

    return scanned


def scheduled(calibration: Calibration) -> Calibration:
    """The calibration with a schedule by its own threshold, to be saved with it."""
    parts: Parts = "layers"
    if not any(kind in LAYERS for kind in calibration.kinds):
        parts = "blocks"
    if parts == "blocks" and calibration.lacks(SiteKind.BLOCK):
        return calibration
    wish = Wish("alpha", calibration.alpha, calibration.lookahead, parts)
    return replace(calibration, schedule=choose(calibration, calibration.timeline, wish).rows)


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


def _places(calibration: Calibration, wish: Wish) -> list[Place]:
    rows = [place for place in calibration.table.rows if place.branch == "both"]
    if wish.by == "saved" and calibration.schedule:
        saved = {Place(kind, index) for kind, index, _ in calibration.schedule}
        found = [place for place in rows if place in saved]
    elif wish.parts == "blocks":
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
    # The mean of a kind has no index, and comes before its layers.
    return sorted(found, key=lambda place: (place.kind, place.index is not None, place.index or 0))


def _thresholds(changes: Mapping[Place, Lags], lookahead: int, most_rows: int) -> list[float]:
    """Every threshold at which the schedule may change: the errors themselves.

    Of single layers there are thousands. Then some are left out, evenly and never the greatest.
    """
    errors = {
        error
        for lags in changes.values()
        for row in lags[:lookahead]
        for error in row
        if error < float("inf")
    }
    stride = math.ceil(len(errors) * len(changes) / most_rows) or 1
    return [0.0, *reversed(sorted(errors, reverse=True)[::stride])]


def _wished(distinct: Iterable[Chosen], wish: Wish) -> Chosen:
    """The least error that is fast enough, or the fastest that is good enough."""
    if wish.by == "speedup":
        fast = [c for c in distinct if c.prediction.speedup >= wish.value * 0.995]
        if fast:
            return min(fast, key=lambda chosen: chosen.prediction.error)
        fastest = max(distinct, key=lambda chosen: chosen.prediction.speedup)
        other = "single layers" if wish.parts == "blocks" else "whole blocks"
        note = (
            f"{wish.value:.2f}× is out of reach: reusing {wish.parts} gives at most "
            f"{fastest.prediction.speedup:.2f}× here. A greater lookahead, {other} or another "
            f"method may save more"
        )
        return replace(fastest, notes=(*fastest.notes, note))
    # Single hops at threshold 0 lose nothing, so that there is one.
    good = [c for c in distinct if c.prediction.error <= 1 - wish.value + 1e-9]
    return max(good, key=lambda chosen: chosen.prediction.speedup)


def _remarks(calibration: Calibration, table: ErrorTable) -> tuple[str, ...]:
    if table is calibration.table:
        return ()
    return (
        f"this run has other noise levels than the calibration ({table.steps} steps, there "
        f"{calibration.table.steps}): its errors were read off between the measured ones. "
        f"Calibrate with this sampler and scheduler for the best schedule",
    )
