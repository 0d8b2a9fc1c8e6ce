"""T-GATE: freeze cross-attention at a gate, and run one branch from there on."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import ClassVar

from ..approximators import Branch, BranchMean, CopyBranch
from ..calibration import Calibration
from ..clock import Timeline
from ..errors import ConfigError
from ..rules import Rule
from ..schedules import From, Interval, Schedule, StepRange
from ..sites import SiteKind, SiteSelector
from .method import CUSTOM, Method, Preset

ASSUMED_STEPS = 30
"""Of a run, while none is known yet: the rules of a gate by share are then those of such a run."""


@dataclass(frozen=True, slots=True)
class TGate(Method):
    """Training-free end of guidance: cross-attention settles early and is replayed.

    Version 1 is version 2 with both intervals 1.

    Args:
        gate_step: m, number of guided steps, 1 … steps of the run; cross-attention is frozen and
            one branch runs from step m on. Equal to the number of steps it changes nothing. 0 where
            `gate_share` says which step it is.
        warm_up: first steps that compute self-attention in any case, 0 … gate_step - 1; fewer
            where a gate by share comes earlier.
        self_interval: period of self-attention between warm-up and gate, counted from step 0;
            >= 1, 1 never reuses. The paper's k, ``sp_interval`` of the reference.
        gated_interval: the same after the gate, ``fi_interval``.
        kept: the branch that runs after the gate; published is "uncond", the null text.
        preset: name of published settings, if they are.
        gate_share: share of the run's steps that are guided, above 0, up to 1; means something
            where `gate_step` is 0.
        notes: where the gate of a run by share is.

    Raises:
        ConfigError: a parameter is outside its range.

    Source: arXiv 2404.02747, sections 3-4; HaozheLiu-ST/T-GATE ab2a88f, ``tgate_utils.py``.
    """

    name: ClassVar[str] = "TGATE Gate"
    title: ClassVar[str] = "T-GATE"
    paper: ClassVar[str] = "arXiv 2404.02747"

    gate_step: int = 18
    warm_up: int = 2
    self_interval: int = 5
    gated_interval: int = 1
    kept: Branch = "uncond"
    preset: Preset = CUSTOM
    gate_share: float = 0.6
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0.0 < self.gate_share <= 1.0:
            raise ConfigError(
                f"gate_share is {self.gate_share:g}; expected more than 0, up to 1 (0.6 is step 18 "
                f"of 30)"
            )
        if self.warm_up < 0 or 0 < self.gate_step <= self.warm_up:
            raise ConfigError(
                f"warm_up is {self.warm_up} with gate_step {self.gate_step}; expected 0 … "
                f"{max(self.gate_step - 1, 0)}: the warm-up ends before the gate"
            )
        if self.kept not in ("cond", "uncond"):
            raise ConfigError(f"kept branch is {self.kept!r}; expected 'cond' or 'uncond'")
        self.rules()

    def fitted(self, timeline: Timeline) -> TGate:
        if self.gate_step:
            return self
        gate, steps = self._gate_in(timeline.steps), timeline.steps
        note = (
            f"{self.name}: the gate is at step {gate} of {steps}, by gate_share {self.gate_share:g}"
        )
        return replace(self, gate_step=gate, warm_up=min(self.warm_up, gate - 1), notes=(note,))

    def _gate_in(self, steps: int) -> int:
        """The gate of a run of so many steps."""
        return self.gate_step or max(1, math.floor(self.gate_share * steps + 0.5))

    @property
    def idle(self) -> frozenset[str]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return frozenset({"notes", "gate_share" if self.gate_step else "gate_step"})

    @classmethod
    def proposals(cls, calibration: Calibration) -> Iterator[TGate]:
        if SiteKind.CROSS_ATTENTION not in calibration.kinds:
            return
        for share, interval in product((0.4, 0.5, 0.6, 0.7, 0.8), (1, 2, 3, 5)):
            gate = round(share * calibration.table.steps)
            if gate > 2:
                yield cls(gate, 2, interval)

    def rules(self) -> tuple[Rule, ...]:
        gate = self._gate_in(ASSUMED_STEPS)
        gated = From(gate)
        until_gate = StepRange(min(self.warm_up + 1, gate - 1), gate - 1)
        self_attention: Schedule = until_gate & Interval(self.self_interval)
        self_attention |= gated & Interval(self.gated_interval)
        mean = BranchMean(gate)
        # Every layer has to be seen at the last guided step, and to replay from the first gated
        # one: the reference runs both in full beside DeepCache too.
        whole = frozenset({gate - 1, gate})
        return self.preset.bind([
            Rule(
                SiteSelector(SiteKind.CROSS_ATTENTION), gated, mean, self.name,
                is_required=True, full_steps=whole,
            ),
            Rule(SiteSelector(SiteKind.SELF_ATTENTION), self_attention, mean, self.name),
            Rule(SiteSelector(SiteKind.TEMPORAL_ATTENTION), self_attention, mean, self.name),
            Rule(
                SiteSelector(SiteKind.GUIDANCE), gated, CopyBranch(self.kept), self.name,
                # The null branch without the frozen attention would draw another picture.
                requires=SiteKind.CROSS_ATTENTION,
            ),
        ])  # fmt: skip
