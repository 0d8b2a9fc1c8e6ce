"""Rules of other papers and packs, as far as they say when blocks compute and what stands in.

What they reuse or forecast is what the blocks of a network add to the hidden state between its
embedding and its head: one sum, because a schedule that all blocks share makes of their single
forecasts the forecast of the sum. They are told of it by `forecast_trunk`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import ClassVar

import numpy as np
import torch

RETAINED = 0.2
"""Share of a run in which MagCache computes first, as its authors set it for every model."""


class Rule(ABC):
    """A rule in one run, made anew for the next.

    Hidden states have the shape that they have in the network; cond and uncond are one batch.
    """

    first_blocks: ClassVar[int] = 0
    """Blocks that run in every step, before the rule is asked."""

    @abstractmethod
    def answer(
        self, step: int, entered: torch.Tensor, arrived: torch.Tensor
    ) -> torch.Tensor | None:
        """What the blocks add, or None for computing it.

        Args:
            step: of the sampler.
            entered: the hidden state before the first block.
            arrived: the same behind `first_blocks`.
        """

    @abstractmethod
    def observe(
        self, step: int, entered: torch.Tensor, arrived: torch.Tensor, added: torch.Tensor
    ) -> None:
        """What the blocks behind `first_blocks` added where they computed."""


class Series(ABC):
    """Values of some steps, and what follows from them for another one."""

    @abstractmethod
    def add(self, step: int, value: torch.Tensor) -> None:
        """A value that was computed; steps rise."""

    @abstractmethod
    def at(self, step: int) -> torch.Tensor:
        """The forecast for a later step. At least one value was added."""


class Planned(Rule):
    """Steps that are known beforehand compute, all others are forecast.

    Args:
        computed: steps; the first of a run is one of them.
        series: what forecasts.
        is_of_hidden: whether it forecasts the last hidden state itself instead of what was added.
    """

    def __init__(self, computed: Iterable[int], series: Series, is_of_hidden: bool = False) -> None:
        self._computed, self._series = frozenset(computed), series
        self._is_of_hidden = is_of_hidden

    def answer(
        self, step: int, entered: torch.Tensor, arrived: torch.Tensor
    ) -> torch.Tensor | None:
        if step in self._computed:
            return None
        value = self._series.at(step)
        return value - arrived if self._is_of_hidden else value

    def observe(
        self, step: int, entered: torch.Tensor, arrived: torch.Tensor, added: torch.Tensor
    ) -> None:
        self._series.add(step, arrived + added if self._is_of_hidden else added)


class Taylor(Series):
    """TaylorSeer: finite differences stand for derivatives. Order 0 holds the newest value.

    As in the published code, a difference of differences is taken between those that were kept at
    the last two computed steps, and divided by their distance.

    Args:
        order: highest derivative, >= 0.

    Source: arXiv 2503.06923, section 3.2; Shenyi-Z/TaylorSeer, ``taylorseer_utils``.
    """

    def __init__(self, order: int) -> None:
        self._order = order
        self._step = 0
        self._derivatives: list[torch.Tensor] = []

    def add(self, step: int, value: torch.Tensor) -> None:
        found = [value]
        for before in self._derivatives[: self._order]:
            found.append((found[-1] - before) / (step - self._step))
        self._step, self._derivatives = step, found

    def at(self, step: int) -> torch.Tensor:
        distance = step - self._step
        value, *rest = self._derivatives
        for number, derivative in enumerate(rest, start=1):
            value = value + derivative * (distance**number / math.factorial(number))
        return value


class Chebyshev(Series):
    """Spectrum: Chebyshev polynomials over the run, fitted to all values by ridge regression.

    Args:
        degree: of the highest polynomial, >= 0.
        ridge: added to the diagonal of the normal equations, > 0.
        blend: share of the fit; the rest is a line through the last two values, 0 … 1.
        steps: of the run.

    Source: arXiv 2603.01623 (Spectrum), which forecasts the last hidden state; published are degree
    4, ridge 0.1 and blend 0.5.
    """

    def __init__(self, degree: int, ridge: float, blend: float, steps: int) -> None:
        self._degree, self._ridge, self._blend, self._steps = degree, ridge, blend, steps
        self._line = Taylor(1)
        self._at: list[int] = []
        self._values: list[torch.Tensor] = []

    def add(self, step: int, value: torch.Tensor) -> None:
        self._line.add(step, value)
        self._at.append(step)
        self._values.append(value)

    def at(self, step: int) -> torch.Tensor:
        fitted = sum(
            (
                weight * value
                for weight, value in zip(self._weights(step), self._values, strict=True)
            ),
            torch.zeros_like(self._values[-1]),
        )
        return self._blend * fitted + (1 - self._blend) * self._line.at(step)

    def _weights(self, step: int) -> list[float]:
        """What each value counts in the fit."""
        basis = self._basis(self._at)
        normal = basis.T @ basis + self._ridge * np.eye(self._degree + 1)
        return (self._basis([step]) @ np.linalg.solve(normal, basis.T))[0].tolist()

    def _basis(self, steps: Sequence[int]) -> np.ndarray:
        places = 2 * np.asarray(steps, dtype=np.float64) / max(self._steps - 1, 1) - 1
        return np.polynomial.chebyshev.chebvander(places, self._degree)


class FirstBlock(Rule):
    """First-block cache: as long as what the first block adds hardly changes, the rest is held.

    Args:
        threshold: mean absolute change ÷ mean absolute value since the last computed step; what is
            below is reused, so 0 computes every step.

    Source: chengzeyi/ParaAttention, ``first_block_cache``.
    """

    first_blocks = 1

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._first: torch.Tensor | None = None
        self._rest: torch.Tensor | None = None

    def answer(
        self, step: int, entered: torch.Tensor, arrived: torch.Tensor
    ) -> torch.Tensor | None:
        if self._first is None:
            return None
        change = (arrived - entered - self._first).abs().mean() / self._first.abs().mean()
        return self._rest if change.item() < self._threshold else None

    def observe(
        self, step: int, entered: torch.Tensor, arrived: torch.Tensor, added: torch.Tensor
    ) -> None:
        self._first, self._rest = arrived - entered, added


class Magnitudes(Rule):
    """Only listens: how much longer what the blocks add becomes, as MagCache is calibrated."""

    def __init__(self) -> None:
        self.ratios: list[float] = []
        self._lengths: torch.Tensor | None = None

    def answer(self, step: int, entered: torch.Tensor, arrived: torch.Tensor) -> None:
        return None

    def observe(
        self, step: int, entered: torch.Tensor, arrived: torch.Tensor, added: torch.Tensor
    ) -> None:
        # Channels are last in a transformer and second in a UNet.
        lengths = added.norm(dim=-1 if added.ndim == 3 else 1)
        before = lengths if self._lengths is None else self._lengths
        self.ratios.append((lengths / before).mean().item())
        self._lengths = lengths


def even_steps(steps: int, count: int, first: int = 3) -> tuple[int, ...]:
    """TaylorSeer's plan for any number of computed steps: the first ones, then evenly to the end.

    Args:
        steps: of the run.
        count: of computed steps, 1 … steps.
        first: steps that compute at the start.
    """
    first = min(first, count)
    rest = count - first
    gaps = ((steps - first) * number / rest for number in range(1, rest + 1))
    return (*range(first), *(first - 1 + round(gap) for gap in gaps))


def magnitude_steps(
    ratios: Sequence[float], threshold: float, longest: int, retained: float = RETAINED
) -> tuple[int, ...]:
    """The steps that MagCache computes.

    Args:
        ratios: how much longer what the blocks add is than a step before, by step; that of the
            first one means nothing.
        threshold: of the summed distance of the running product from 1; 0 computes every step.
        longest: most steps in a row that reuse.
        retained: share of the run that computes first.

    Source: arXiv 2506.09045, section 3.3; Zehong-Ma/MagCache.
    """
    computed: list[int] = []
    product, error, passed = 1.0, 0.0, 0
    for step, ratio in enumerate(ratios):
        if step >= max(round(retained * len(ratios)), 1):
            product, passed = product * ratio, passed + 1
            error += abs(1 - product)
            if error < threshold and passed <= longest:
                continue
        computed.append(step)
        product, error, passed = 1.0, 0.0, 0
    return tuple(computed)
