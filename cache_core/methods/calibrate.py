"""The method that changes nothing: every site computes and is measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..approximators import FrequencyDelta, Hold
from ..calibration import Study
from ..rules import Rule
from ..schedules import Never
from ..sites import SiteKind, SiteSelector
from .method import Method

MEASURED = tuple(kind for kind in SiteKind if kind is not SiteKind.EVALUATION)
"""Layers, and guidance; an evaluation is all of them together."""


@dataclass(frozen=True, slots=True)
class Calibrate(Method):
    """Measures how much every kind of layer changes from step to step.

    Args:
        study: how, and where the result goes.

    Source: arXiv 2411.10510, section 3.2.
    """

    name: ClassVar[str] = "SmoothCache Calibrate"
    paper: ClassVar[str] = "arXiv 2411.10510"

    # Frozen: nothing assigns to what the base declares as a variable.
    study: Study  # pyright: ignore[reportIncompatibleVariableOverride]

    def rules(self) -> tuple[Rule, ...]:
        return tuple(Rule(SiteSelector(kind), Never(), _what(kind), self.name) for kind in MEASURED)

    def describe(self) -> str:
        return f"{self.name} (up to {self.study.lookahead} steps apart, {self.study.average})"


def _what(kind: SiteKind) -> Hold | FrequencyDelta:
    # Which branch counts as zero is a matter of the guidance site alone.
    return FrequencyDelta() if kind is SiteKind.GUIDANCE else Hold()
