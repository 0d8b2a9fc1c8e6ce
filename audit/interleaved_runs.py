"""Whole runs of a model as it is, by turns with others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any, Protocol

from ..cache_core.errors import StepCacheError
from .audit import NAME
from .timing import Timed, Timing

SHORT = 4
"""Steps of the schedule that short runs begin, at least."""
LONG, MAX_ROUNDS = 20.0, 11
"""Seconds after which a run is not repeated any more, and how many there are at most."""
ENOUGH = 3
"""Rounds that say more than a few evaluations do."""
MOSTLY = 0.8
"""Share of the rounds that something has to win."""


class Sample(Protocol):
    """Samples a latent.

    Args:
        model: with which.
        steps: of the whole schedule.
        last: where to stop; None at its end.
        sampler: None for that of the workflow.
    """

    def __call__(
        self, model: Any, /, steps: int, last: int | None = None, sampler: str | None = None
    ) -> Any: ...


@dataclass(frozen=True, slots=True)
class Compared:
    """A model beside the one that is audited.

    Args:
        gain: seconds of an evaluation of the audited run ÷ seconds of one with this model; the
            median of all rounds.
        wins: share of the rounds in which it was faster, 0 … 1.
        rounds: how many there were.
    """

    gain: float
    wins: float
    rounds: int

    @property
    def is_faster(self) -> bool:
        """Whether it was so in most rounds."""
        return self.wins >= MOSTLY

    @property
    def how(self) -> str:
        """Where the gain is known from."""
        return f"measured in {self.rounds} whole run{'s'[: self.rounds > 1]} with it"


class Rounds:
    """Samples with other models, each run between two of the model as it is.

    A machine that becomes slower or faster in the meantime does so for both.

    Args:
        model: as it is audited.
        sample, steps: of the run.
    """

    def __init__(self, model: Any, sample: Sample, steps: int) -> None:
        self._model, self._sample, self._steps = model, sample, steps
        self.latent, first = self._timed(model)
        self.runs: list[Timed] = [first]
        self.count = max(min(round(LONG / first.seconds), MAX_ROUNDS), 1)
        """How often a run is repeated: one short run alone says little."""

    def middle(self) -> Timed:
        """The run that took neither most nor least."""
        while len(self.runs) < self.count:
            self._again()
        return sorted(self.runs, key=lambda run: run.seconds)[(len(self.runs) - 1) // 2]

    def against(
        self, others: Mapping[str, Any], *, in_part: str | None = None
    ) -> dict[str, Compared]:
        """Compare other models with the one as it is.

        Args:
            others: by name.
            in_part: of which a few steps are enough where runs are long, as all its evaluations
                take the same.
        """
        ratios: dict[str, list[float]] = {name: [] for name in others}
        if others and self.count > 1:
            self._again()
        for _ in range(self.count):
            for name, other in others.items():
                before = self.runs[-1]
                is_part = name == in_part and self.count == 1
                _, run = self._timed(other, max(SHORT, self._steps // 4) if is_part else None)
                after = self._again() if self.count > 1 else before
                ratios[name].append((_each(before) + _each(after)) / (2 * _each(run)))
        return {
            name: Compared(median(found), sum(each > 1 for each in found) / len(found), len(found))
            for name, found in ratios.items()
        }

    def _again(self) -> Timed:
        self.runs.append(self._timed(self._model)[1])
        return self.runs[-1]

    def _timed(self, model: Any, last: int | None = None) -> tuple[Any, Timed]:
        timing = Timing()
        latent = self._sample(timing.on(model), self._steps, last)
        if timing.timed is None:
            raise StepCacheError(
                f"{NAME}: the sampler never called the model in {self._steps} steps, so there is "
                f"nothing to measure; expected a run that draws something. Raise steps or denoise"
            )
        return latent, timing.timed


def _each(run: Timed) -> float:
    """Seconds of an evaluation and what lies behind it; the mean."""
    return run.seconds / run.evaluations
