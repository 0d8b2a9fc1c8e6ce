"""What the panels show: the parts of a model, their changes, and the range that shows them best."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

from ..cache_core.calibration import Branch, Calibration, Lags, Place
from ..cache_core.schedule_file import Rows
from ..cache_core.sites import SiteKind

MAX_PANELS = 8
MAX_LINES = 8
MAX_MARKED = 60
CUT = 3.5
"""Up to so many medians are shown; what lies more than a `LITTLE` higher is cut."""
LITTLE = 1.3
MAX_CHANGE = 1e6
"""Greater ones are only ever the work of a broken file."""
STEPS = (1, 2, 2.5, 5, 10)
NAMES = {SiteKind.EVALUATION: "whole steps"}
"""Kinds that are called otherwise than in files."""

Item = TypeVar("Item")
Point = tuple[float, float]
"""A step and a change."""


@dataclass(frozen=True, slots=True)
class Part:
    """All layers of a kind, or one deep branch.

    Args:
        kind: of its sites.
        index: of a deep branch.
        lags: changes, by distance and source step.
        branches: the same with and without the prompt, where both were measured.
        layers: how many sites it has.
        compute: its row in the schedule, None where that leaves it alone or goes by layers.
        is_scheduled: whether the schedule is about it.
    """

    kind: SiteKind
    index: int | None
    lags: Lags
    branches: tuple[Lags, ...]
    layers: int
    compute: tuple[bool, ...] | None
    is_scheduled: bool

    @property
    def name(self) -> str:
        """The part in words."""
        return in_words(self.kind, self.index)

    @property
    def marked(self) -> tuple[bool, ...]:
        """Flags of compute, if the steps that reuse can be marked on the lines."""
        compute = self.compute or ()
        return compute if len(compute) <= MAX_MARKED and not all(compute) else ()

    @property
    def distances(self) -> tuple[int, ...]:
        """Distances in steps that get a line, the nearest and the farthest among them."""
        known = [d for d, row in enumerate(self.lags, 1) if any(map(math.isfinite, row))]
        return tuple(_spread(known, MAX_LINES))

    @property
    def top(self) -> float:
        """Up to which change a panel shows it."""
        shown = [
            change
            for lags in (self.lags, *self.branches)
            for distance in self.distances
            for change in lags[distance - 1]
            if math.isfinite(change)
        ]
        return robust_top(shown)


def in_words(kind: SiteKind, index: int | None = None) -> str:
    """A kind of site, or one site of it, in words."""
    words = NAMES.get(kind) or str(kind).replace("_", " ")
    return words if index is None else f"{words} {index}"


def parts_of(calibration: Calibration, rows: Rows) -> tuple[list[Part], int]:
    """The parts that get a panel, those of the schedule before others, and how many get none."""
    table = calibration.table
    keys: set[tuple[SiteKind, int | None]] = set()
    for place in table.rows:
        is_deep = place.kind is SiteKind.DEEP_BRANCH
        keys.add((place.kind, place.index if is_deep else None))
    order = list(SiteKind)
    found = [
        _part(calibration, rows, kind, index)
        for kind, index in sorted(keys, key=lambda key: (order.index(key[0]), key[1] or 0))
    ]
    scheduled = _spread([part for part in found if part.is_scheduled], MAX_PANELS)
    others = [part for part in found if not part.is_scheduled]
    chosen = [*scheduled, *_spread(others, MAX_PANELS - len(scheduled))]
    return [part for part in found if any(part is one for one in chosen)], len(found) - len(chosen)


def robust_top(values: Sequence[float]) -> float:
    """A top that few values pass by far, so that one of them does not flatten all others."""
    if not values:
        return 0.0
    middle, most = median(values), min(max(values), MAX_CHANGE)
    return most if middle <= 0 or most <= CUT * LITTLE * middle else CUT * middle


def pieces(values: Sequence[Point], top: float) -> Iterator[list[Point]]:
    """The parts of a line that are known and not above `top`."""
    piece: list[Point] = []
    for i, (step, change) in enumerate(values):
        before = values[i - 1] if i else (step, math.inf)
        if (
            math.isfinite(before[1])
            and math.isfinite(change)
            and (before[1] > top) != (change > top)
        ):
            share = (top - before[1]) / (change - before[1])
            piece.append((before[0] + share * (step - before[0]), top))
        if change <= top:
            piece.append((step, change))
        elif piece:
            yield piece
            piece = []
    if piece:
        yield piece


def ticks(top: float, most: int) -> list[float]:
    """Round values from 0 to at least `top`, at most so many; the last is the end of the axis."""
    rough = top / (most - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(s * power for s in (*STEPS, 20) if s * power >= rough * (1 - 1e-9))
    return [step * i for i in range(math.ceil(top / step - 1e-9) + 1)]


def step_marks(steps: int, most: float) -> list[int]:
    """Steps that get a number: 0 and every 5th or another round distance, at most so many."""
    rounds = (d * 10**power for power in range(8) for d in (1, 2, 5))
    distance = next(d for d in rounds if d != 2 and steps <= d * max(most, 1))
    return list(range(0, steps, distance))


def _part(calibration: Calibration, rows: Rows, kind: SiteKind, index: int | None) -> Part:
    table = calibration.table
    own = [compute for k, i, compute in rows if k is kind and i == index]
    is_deep = kind is SiteKind.DEEP_BRANCH
    branches: list[Lags] = []
    for branch in ("cond", "uncond"):
        lags = _lags(calibration, kind, index, branch)
        if lags:
            branches.append(lags)
    return Part(
        kind=kind,
        index=index,
        lags=_lags(calibration, kind, index, "both") or mean(branches),
        branches=tuple(branches) if len(branches) == 2 else (),
        layers=1 if is_deep else calibration.model.layers.get(kind, 0),
        compute=own[0] if own and len(own[0]) == table.steps else None,
        is_scheduled=any(k is kind and (not is_deep or i in (None, index)) for k, i, _ in rows),
    )


def _lags(calibration: Calibration, kind: SiteKind, index: int | None, branch: Branch) -> Lags:
    """The changes of a part: measured as one, or else the mean of its layers."""
    rows = calibration.table.rows
    whole = rows.get(Place(kind, index, branch))
    if whole is not None or kind is SiteKind.DEEP_BRANCH:
        return whole or ()
    return mean(
        [lags for place, lags in rows.items() if place.kind is kind and place.branch == branch]
    )


def mean(every: Sequence[Lags]) -> Lags:
    """The mean of what is known of each change."""
    if not every:
        return ()
    return tuple(
        tuple(_mean(lags[lag][source] for lags in every) for source in range(len(every[0][lag])))
        for lag in range(len(every[0]))
    )


def _mean(values: Iterable[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return math.fsum(known) / len(known) if known else math.inf


def _spread(items: list[Item], most: int) -> list[Item]:
    """Evenly chosen items, the first and the last among them."""
    if len(items) <= most:
        return items
    if most < 2:
        return items[: max(most, 0)]
    return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]
