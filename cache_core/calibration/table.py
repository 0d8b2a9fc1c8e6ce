"""How much what a layer returns changes from step to step: the numbers, and their way to another
noise schedule. No torch."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..effort import spend
from ..errors import ConfigError
from ..sites import SiteKind

Lags = tuple[tuple[float, ...], ...]
"""``[lag - 1][source]``: relative change from a step to the one `lag` steps later. The row of a lag
has steps - lag entries. Infinite where nothing is known."""

Branch = Literal["both", "cond", "uncond"]

SIGMA_SLACK = 0.02
"""How far beyond the calibrated noise levels a run may begin, relative to the first one."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """What a row of the table is about.

    Args:
        kind: kind of site.
        index: one site of the kind, None for the mean of all.
        branch: of guidance; "both" for the mean.
    """

    kind: SiteKind
    index: int | None = None
    branch: Branch = "both"


@dataclass(frozen=True, slots=True)
class ErrorTable:
    """Relative changes over a run.

    Args:
        sigmas: noise levels of the run, falling, steps + 1 of them.
        lookahead: the greatest distance in steps that was measured, >= 1.
        rows: per place the changes over 1 … lookahead steps.

    Raises:
        ConfigError: fewer than two steps, or rows of another shape.

    Source: arXiv 2411.10510, section 3.2: the L1 norm of the change divided by the L1 norm of the
    newer output, mean over the layers of a kind.
    """

    sigmas: tuple[float, ...]
    lookahead: int
    rows: Mapping[Place, Lags]

    def __post_init__(self) -> None:
        if self.steps < 2:
            raise ConfigError(
                f"a calibration of {self.steps} steps has nothing to compare; expected 2 or more"
            )
        if self.lookahead < 1:
            raise ConfigError(f"lookahead is {self.lookahead}; expected 1 or more steps")
        expected = [max(self.steps - lag, 0) for lag in range(1, self.lookahead + 1)]
        for place, lags in self.rows.items():
            if [len(row) for row in lags] != expected:
                raise ConfigError(
                    f"the errors of {place.kind} have {[len(row) for row in lags]} entries; "
                    f"expected {expected} for {self.steps} steps"
                )

    @property
    def steps(self) -> int:
        """Steps of the calibrated run."""
        return len(self.sigmas) - 1

    def change(self, place: Place, source: int, target: int) -> float:
        """The relative change from one step to a later one.

        Beyond what was measured, changes over shorter distances are added up. By the triangle
        inequality that is no less than the change, as far as outputs are of one size.
        """
        total = 0.0
        while target - source > self.lookahead:
            total += self.rows[place][self.lookahead - 1][source]
            source += self.lookahead
        return total + (self.rows[place][target - source - 1][source] if target > source else 0.0)

    def mean(self, places: Iterable[Place]) -> Lags:
        """The mean of the changes of some places."""
        return tuple(
            tuple(math.fsum(errors) / len(errors) for errors in zip(*rows, strict=True))
            for rows in zip(*(self.rows[place] for place in places), strict=True)
        )

    def at(self, sigmas: Sequence[float]) -> ErrorTable:
        """The table for a run over other noise levels, read off between the measured ones.

        Args:
            sigmas: noise levels of the run, steps + 1 of them.

        Raises:
            ConfigError: the run begins or ends where nothing was measured, is a single step, or
                its steps are so long that even the distance of one of them was nowhere measured.
        """
        if is_same(self.sigmas, sigmas):
            return self
        if len(sigmas) < 3:
            raise ConfigError(
                f"a run of {len(sigmas) - 1} steps has nothing to reuse; expected 2 or more"
            )
        if sigmas[0] > self.sigmas[0] * (1 + SIGMA_SLACK):
            raise ConfigError(
                f"the run begins at noise level {sigmas[0]:.4g}, the calibration at "
                f"{self.sigmas[0]:.4g}: what lies before was not measured. Calibrate with this "
                f"sampler, scheduler and shift"
            )
        if sigmas[-2] < self.sigmas[-1] - self.sigmas[0] * SIGMA_SLACK:
            raise ConfigError(
                f"the run goes on to noise level {sigmas[-2]:.4g}, the calibration ended at "
                f"{self.sigmas[-1]:.4g}: what lies below was not measured. Calibrate a run of all "
                f"its steps"
            )
        spend(len(self.rows) * self.lookahead * (self.steps + len(sigmas)) / 5)
        falling = [-value for value in self.sigmas]
        where = [_position(falling, sigma) for sigma in sigmas[:-1]]
        rows = dict(zip(self.rows, self._between(where), strict=True))
        table = replace(self, sigmas=tuple(sigmas), rows=rows)
        if not any(math.isfinite(error) for lags in rows.values() for error in lags[0]):
            raise ConfigError(
                f"the steps of this run ({table.steps}) are longer than the {self.lookahead} steps "
                f"over which the calibration of {self.steps} steps looked: no change over one of "
                f"them is known. Calibrate with {table.steps} steps"
            )
        return table

    def _between(self, where: Sequence[float]) -> list[Lags]:
        """The rows at positions between the steps: bilinear in the source step and in the distance.

        A distance of 0 changes nothing.
        """
        changes = changes_of(self.rows.values(), self.steps, self.lookahead + 1)
        moments = np.array(where)
        found: list[list[list[float]]] = []
        for lag in range(1, self.lookahead + 1):
            sources, targets = moments[: max(len(moments) - lag, 0)], moments[lag:]
            distance = np.maximum(targets - sources, 0.0)
            below = np.floor(distance + 1e-6)
            low, high = (_along(changes, below + more, sources) for more in (0, 1))
            part = np.maximum(distance - below, 0.0)
            found.append(_mixed(low, high, np.where(part < 1e-6, 0.0, part)).tolist())
        return [tuple(map(tuple, lags)) for lags in zip(*found, strict=True)]


def changes_of(rows: Iterable[Lags], steps: int, farthest: int) -> NDArray[np.float64]:
    """Rows as one array, infinite where they end.

    Args:
        rows: changes by distance and source step.
        steps: of the run.
        farthest: the greatest distance.

    Returns:
        Relative changes, those over 0 steps too; shape (rows, farthest + 1, steps).
    """
    rows = tuple(rows)
    changes = np.full((len(rows), farthest + 1, steps), np.inf)
    changes[:, 0] = 0.0
    for place, lags in zip(changes, rows, strict=True):
        for row, errors in zip(place[1:], lags, strict=False):
            row[: len(errors)] = errors
    return changes


def _along(
    changes: NDArray[np.float64], distance: NDArray[np.float64], sources: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Changes over whole distances, from positions between the steps; shape (rows, positions)."""
    steps, farthest = changes.shape[2], changes.shape[1] - 1
    lags = np.minimum(distance, farthest).astype(np.intp)
    sources = np.minimum(np.maximum(sources, 0.0), np.maximum(steps - lags - 1, 0))
    left = np.floor(sources).astype(np.intp)
    right = np.minimum(left + 1, steps - 1)
    return _mixed(changes[:, lags, left], changes[:, lags, right], sources - left)


def _mixed(
    low: NDArray[np.float64], high: NDArray[np.float64], part: NDArray[np.float64]
) -> NDArray[np.float64]:
    # Nothing times infinity is no number.
    with np.errstate(invalid="ignore"):
        return np.where(part > 0, (1 - part) * low + part * high, low)


def merge(one: ErrorTable, weight: int, other: ErrorTable, other_weight: int) -> ErrorTable:
    """The mean of two tables of the same kind of run, weighted by their samples.

    Raises:
        ConfigError: they are of different runs, or about different layers.
    """
    is_alike = one.lookahead == other.lookahead and one.rows.keys() == other.rows.keys()
    if not is_alike or not is_same(one.sigmas, other.sigmas):
        raise ConfigError("the two calibrations measured different steps or layers")
    total = weight + other_weight
    rows = {
        place: tuple(
            tuple((weight * a + other_weight * b) / total for a, b in zip(row, more, strict=True))
            for row, more in zip(lags, other.rows[place], strict=True)
        )
        for place, lags in one.rows.items()
    }
    return replace(one, rows=rows)


def is_same(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether two runs go through the same noise levels."""
    return len(one) == len(other) and all(
        math.isclose(a, b, rel_tol=1e-4, abs_tol=1e-6) for a, b in zip(one, other, strict=True)
    )


def _position(falling: Sequence[float], sigma: float) -> float:
    """Where in a schedule a noise level lies, in steps; of the schedule the negative values."""
    right = bisect_right(falling, -sigma)
    if right == 0:
        return 0.0
    if right == len(falling):
        return float(len(falling) - 1)
    left, after = -falling[right - 1], -falling[right]
    return right - 1 + (left - sigma) / (left - after)
