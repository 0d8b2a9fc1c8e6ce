"""Which steps to compute, so that forecasts of the others miss least. No torch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from ..approximators.forecast import MAX_REACH, NOISE_ALONE, REACH_FROM_NOISE
from ..effort import spend
from ..errors import ConfigError
from ..s_curve import SCurve
from .noise import Floats, NoiseChanges

Flags = NDArray[np.bool_]
Places = NDArray[np.intp]

STARTS = (0.0, 0.4, 0.8)
"""Bends of the curves from which steps are moved."""

FARTHEST = 4
"""Steps by which one is moved at a time."""

KEPT = 2
"""Steps at the beginning that stay computed: a line needs two."""

MAX_SEARCHED = 200
"""Steps of a run whose plan is searched; of longer ones the best curve is taken."""

UNMEASURED = 0.1
"""Share of the way from noise to picture that may lie where nothing was measured."""

PER_UNIT = 8
"""Steps of plans that are looked at in a microsecond."""


class Planner:
    """What plans of one run miss, by what was measured of a run of the same model.

    The error is the length of the signed sum of what all forecasts of the run miss, each weighted
    by how far its step moves the latents: misses may cancel each other. Lengths that are added gap
    by gap foretell less.

    Args:
        changes: what was measured.
        half_log_snrs: log(alpha / sigma) at the steps of the run and at its end, steps + 1.

    Raises:
        ConfigError: noise levels rise, or too much of the run was not measured.
    """

    def __init__(self, changes: NoiseChanges, half_log_snrs: Sequence[float]) -> None:
        _refuse_unmeasured(changes, half_log_snrs)
        self._places = np.array(half_log_snrs[:-1])
        self._weights = _weights_of(half_log_snrs)
        spend(changes.levels * self.steps * (changes.levels + self.steps) / 1000)
        self._products = changes.at(half_log_snrs[:-1])

    @property
    def steps(self) -> int:
        """Of the run."""
        return len(self._places)

    def error(self, computed: Iterable[int]) -> float:
        """Error of the latents at the end, as a share of the noise that a run begins with.

        Args:
            computed: steps that compute; 0 among them.
        """
        return float(self._errors(self._mask(computed)[None])[0])

    def plan(self, speed: float) -> frozenset[int]:
        """The steps to compute: the least error that moving single steps of curves leads to.

        Args:
            speed: steps ÷ computed steps, >= 1.
        """
        curves = (SCurve(speed, bend).computed_steps(self.steps) for bend in STARTS)
        found = [self._moved(self._mask(curve)) for curve in curves]
        best, _ = min(found, key=lambda each: each[1])
        return frozenset(np.flatnonzero(best).tolist())

    def _mask(self, computed: Iterable[int]) -> Flags:
        mask = np.zeros(self.steps, dtype=np.bool_)
        mask[list(computed)] = True
        return mask

    def _moved(self, plan: Flags) -> tuple[Flags, float]:
        """A plan of which no single step can be moved for the better, and its error."""
        error = float(self._errors(plan[None])[0])
        while self.steps <= MAX_SEARCHED:
            moves = _moves(plan)
            if not len(moves):
                break
            errors = self._errors(moves)
            best = int(errors.argmin())
            if not errors[best] < error:
                break
            plan, error = moves[best], float(errors[best])
        return plan, error

    def _errors(self, plans: Flags) -> Floats:
        """The error of every plan; shape of plans (plans, steps), True computes."""
        count, steps = plans.shape
        spend(plans.size * (1 + steps / 100) / PER_UNIT)
        order: Places = np.array(range(steps), dtype=np.intp)
        own: Places = np.where(plans, order, 0)
        newest: Places = np.maximum.accumulate(own, axis=1)
        before: Places = np.hstack([np.zeros((count, 1), dtype=np.intp), newest[:, :-1]])
        older: Places = np.take_along_axis(before, newest, axis=1)
        reach = self._reach(older, newest)
        weights: Floats = np.where(plans, 0.0, self._weights)
        # What stands in for a step is its newest output, 1 + reach times, without reach older ones.
        rows: Places = np.array([[number] for number in range(count)], dtype=np.intp)
        sums = -weights
        np.add.at(sums, (rows, newest), weights * (1 + reach))
        np.subtract.at(sums, (rows, older), weights * reach)
        # These add up to nothing, so that they are a sum of changes.
        parts = np.cumsum(sums, axis=1)[:, :-1]
        squares = ((parts @ self._products) * parts).sum(axis=1)
        return np.sqrt(np.maximum(squares, 0.0))

    def _reach(self, older: Places, newer: Places) -> Floats:
        """As `forecast.reach_of`, for every step of many plans."""
        places = self._places
        lengths = places[newer] - places[older]
        is_noise = places[older] < NOISE_ALONE
        is_held = (lengths <= 0) | ((older == 0) & is_noise)
        beyond = (places - places[newer]) / np.where(is_held, 1.0, lengths)
        furthest = np.where(is_noise, REACH_FROM_NOISE, MAX_REACH)
        return np.where(is_held, 0.0, np.minimum(beyond, furthest))


def _moves(plan: Flags) -> Flags:
    """All plans in which one computed step has moved; shape (plans, steps)."""
    computed: list[int] = np.flatnonzero(plan).tolist()
    pairs = [
        (step, place)
        for step in computed[KEPT:]
        for place in range(max(KEPT, step - FARTHEST), min(len(plan), step + FARTHEST + 1))
        if not plan[place]
    ]
    moved: Flags = np.tile(plan, (len(pairs), 1))
    for row, (step, place) in zip(moved, pairs, strict=True):
        row[step], row[place] = False, True
    return moved


def _weights_of(half_log_snrs: Sequence[float]) -> Floats:
    """How far every step moves latents of length 1, per length of the noise estimate."""
    ratios = np.exp(-np.array(half_log_snrs))
    return np.abs(np.diff(ratios)) / np.sqrt(1 + ratios[:-1] ** 2)


def _refuse_unmeasured(changes: NoiseChanges, half_log_snrs: Sequence[float]) -> None:
    if (np.diff(half_log_snrs) < 0).any():
        raise ConfigError(
            "noise levels of this run rise, for which no plan can be made from a calibration; "
            'expected falling ones. Set calibration to "none"'
        )
    # What the first step said is never forecast, and of the last one only that level counts.
    first, last = half_log_snrs[min(1, len(half_log_snrs) - 2)], half_log_snrs[-2]
    before = max(_left(first) - _left(changes.half_log_snrs[0]), 0.0)
    beyond = max(_left(changes.half_log_snrs[-2]) - _left(last), 0.0)
    share = (before + beyond) / _left(first)
    if share > UNMEASURED:
        raise ConfigError(
            f"{share:.0%} of this run's way from noise to picture lies at noise levels that were "
            f"not measured; expected at most {UNMEASURED:.0%}. Calibrate with this scheduler, "
            f'shift and denoise, or set calibration to "none"'
        )


def _left(half_log_snr: float) -> float:
    """The way from a noise level to the picture: the sum of `_weights_of` in very short steps."""
    return math.asinh(math.exp(-half_log_snr))
