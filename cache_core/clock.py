"""What time it is in a sampling run. Numbers only: no tensors, no torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import scipy.optimize  # pyright: ignore[reportMissingTypeStubs]  # there are none

from .errors import ConfigError

PercentToSigma = Callable[[float], float]

TINY = 1e-9
"""A noise level that counts as none: zero has no logarithm."""

NEAR = 2e-6
"""How far a guess may lie off, as a share of the noise level; hosts compute in single precision."""

SIGMA_TOLERANCE = 1e-4
"""Relative distance within which a sigma counts as a point of the schedule.

Some samplers nudge the first sigma of a flow model from 1 to 0.9999667. Where several points are as
near as this, the nearest one counts."""


@dataclass(frozen=True, slots=True)
class Clock:
    """One moment of a run.

    Args:
        step: sampler step, 0 … steps - 1, 0 is the noisiest.
        steps: number of sampler steps in this run.
        sigma: noise level at the start of the step.
        timestep: the same on the 0 … 1000 scale after any schedule shift, None where the model
            has no such scale (EDM).
        percent: the same as progress 0 … 1 in the host's sense (before any schedule shift).
        evaluation: number of denoiser evaluations that ran before in this run.
        half_log_snr: log(alpha / sigma) of the evaluation itself, which some samplers make in the
            middle of a step or at its end; for latents alpha × picture + sigma × noise.
    """

    step: int
    steps: int
    sigma: float
    timestep: float | None
    percent: float
    evaluation: int = 0
    half_log_snr: float = 0.0


@dataclass(frozen=True, slots=True)
class Timeline:
    """The sigma schedule of one sampling run, and where a sigma lies in it.

    Args:
        sigmas: steps + 1 noise levels, normally falling.
        timesteps: one value on the 0 … 1000 scale per step, None where there is no such scale.
        percents: one progress value per step.
        half_log_snrs: log(alpha / sigma) per noise level; empty where it is not known.
    """

    sigmas: tuple[float, ...]
    timesteps: tuple[float | None, ...]
    percents: tuple[float, ...]
    half_log_snrs: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not self.steps or len(self.timesteps) != self.steps or len(self.percents) != self.steps:
            raise ConfigError(
                f"a timeline needs at least one step, each with a timestep and a percent; found "
                f"{len(self.sigmas)} sigmas, {len(self.timesteps)} timesteps and "
                f"{len(self.percents)} percents"
            )
        if len(self.half_log_snrs) not in (0, len(self.sigmas)):
            raise ConfigError(
                f"a timeline of {len(self.sigmas)} sigmas needs a log-SNR for each or none; found "
                f"{len(self.half_log_snrs)}"
            )

    @classmethod
    def even(cls, steps: int, first: float = 0.0, last: float = 1.0) -> Timeline:
        """A timeline whose steps divide 0 … 1 and 1000 … 0 evenly: for previews and tests.

        Args:
            steps: of the run.
            first: where in a whole run it begins, 0 … 1.
            last: where it ends.
        """
        length, whole = last - first, max(steps, 1)
        points = tuple(first + length * i / whole for i in range(steps + 1))
        timesteps = tuple(1000.0 * (1.0 - point) for point in points[:-1])
        return cls(tuple(1.0 - point for point in points), timesteps, points[:-1])

    @property
    def steps(self) -> int:
        """Number of sampler steps."""
        return max(len(self.sigmas) - 1, 0)

    def locate(self, sigma: float, since: int = 0) -> int:
        """The step that a noise level belongs to.

        A sigma within `SIGMA_TOLERANCE` of schedule points belongs to the nearest one's step. Any
        other one (midpoints, adaptive samplers) belongs to the step during which the schedule
        passes it, so that all evaluations of one step share one decision.

        Args:
            sigma: noise level of an evaluation.
            since: the step before; schedules that rise again (restarts) pass a sigma more than
                once, and the first passage from here on is meant.
        """
        distances = {
            step: abs(point - sigma)
            for step, point in enumerate(self.sigmas[:-1])
            if math.isclose(sigma, point, rel_tol=SIGMA_TOLERANCE)
        }
        nearest = min(distances.values(), default=None)
        candidates = [step for step, distance in distances.items() if distance == nearest]
        if not candidates:
            pairs = enumerate(pairwise(self.sigmas))
            candidates = [step for step, (a, b) in pairs if min(a, b) <= sigma <= max(a, b)]
        if not candidates:
            starts_nearer = abs(sigma - self.sigmas[0]) < abs(sigma - self.sigmas[-1])
            candidates = [0 if starts_nearer else self.steps - 1]
        return next((step for step in candidates if step >= since), candidates[0])

    def clock(self, step: int, evaluation: int = 0, half_log_snr: float = 0.0) -> Clock:
        """The clock in `step`."""
        return Clock(
            step=step,
            steps=self.steps,
            sigma=self.sigmas[step],
            timestep=self.timesteps[step],
            percent=self.percents[step],
            evaluation=evaluation,
            half_log_snr=half_log_snr,
        )


def percents_of(
    sigmas: Sequence[float],
    percent_to_sigma: PercentToSigma,
    guesses: Sequence[float] | None = None,
) -> tuple[float, ...]:
    """Invert the host's map of percent to sigma.

    Args:
        sigmas: noise levels of the steps.
        percent_to_sigma: falling function on 0 … 1.
        guesses: where each sigma is thought to be; the map is asked, and searched where it is not.

    Returns:
        One progress value per sigma, to 7 decimals.
    """
    guessed = guesses if guesses is not None else (0.0,) * len(sigmas)
    each = zip(sigmas, guessed, strict=True)
    return tuple(_percent_of(sigma, guess, percent_to_sigma) for sigma, guess in each)


def _percent_of(sigma: float, guess: float, percent_to_sigma: PercentToSigma) -> float:
    def distance(percent: float) -> float:
        # In logarithms the map is nearly straight, and few questions find the place.
        return math.log(max(percent_to_sigma(percent), TINY) / max(sigma, TINY))

    if 0 < guess < 1 and abs(distance(guess)) <= NEAR:
        return round(guess, 7)
    if distance(0.0) <= 0:
        return 0.0
    if distance(1.0) >= 0:
        return 1.0
    untyped: Any = scipy.optimize
    return round(float(untyped.brentq(distance, 0.0, 1.0, xtol=1e-8)), 7)
