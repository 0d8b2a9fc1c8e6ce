"""T-GATE: freeze cross-attention at a gate, and run one branch from there on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..approximators import Branch, BranchMean, CopyBranch
from ..errors import ConfigError
from ..rules import Rule
from ..schedules import From, Interval, Schedule, StepRange
from ..sites import SiteKind, SiteSelector
from .method import CUSTOM, Method, Preset


@dataclass(frozen=True, slots=True)
class TGate(Method):
    """Training-free end of guidance: cross-attention settles early and is replayed.

    Version 1 is version 2 with both intervals 1.

    Args:
        gate_step: m, number of guided steps, 1 … steps of the run; cross-attention is frozen and
            one branch runs from step m on. Equal to the number of steps it changes nothing.
        warm_up: first steps that compute self-attention in any case, 0 … gate_step - 1.
        self_interval: period of self-attention between warm-up and gate, counted from step 0;
            >= 1, 1 never reuses. The paper's k, ``sp_interval`` of the reference.
        gated_interval: the same after the gate, ``fi_interval``.
        kept: the branch that runs after the gate; published is "uncond", the null text.
        preset: name of published settings, if they are.

    Raises:
        ConfigError: a parameter is outside its range.

    Source: arXiv 2404.02747, sections 3-4; HaozheLiu-ST/T-GATE ab2a88f, ``tgate_utils.py``.
    """

    name: ClassVar[str] = "TGATE Gate"
    paper: ClassVar[str] = "arXiv 2404.02747"

    gate_step: int = 18
    warm_up: int = 2
    self_interval: int = 5
    gated_interval: int = 1
    kept: Branch = "uncond"
    preset: Preset = CUSTOM

    def __post_init__(self) -> None:
        if not 0 <= self.warm_up < max(self.gate_step, 1):
            raise ConfigError(
                f"warm_up is {self.warm_up} with gate_step {self.gate_step}; expected 0 … "
                f"{max(self.gate_step - 1, 0)}: the warm-up ends before the gate"
            )
        if self.kept not in ("cond", "uncond"):
            raise ConfigError(f"kept branch is {self.kept!r}; expected 'cond' or 'uncond'")
        self.rules()

    def rules(self) -> tuple[Rule, ...]:
        gated = From(self.gate_step)
        until_gate = StepRange(min(self.warm_up + 1, self.gate_step - 1), self.gate_step - 1)
        self_attention: Schedule = until_gate & Interval(self.self_interval)
        self_attention |= gated & Interval(self.gated_interval)
        mean = BranchMean(self.gate_step)
        # Every layer has to be seen at the last guided step, and to replay from the first gated
        # one: the reference runs both in full beside DeepCache too.
        whole = frozenset({self.gate_step - 1, self.gate_step})
        return self.preset.bind([
            Rule(
                SiteSelector(SiteKind.CROSS_ATTENTION), gated, mean, self.name,
                is_required=True, whole_steps=whole,
            ),
            Rule(SiteSelector(SiteKind.SELF_ATTENTION), self_attention, mean, self.name),
            Rule(SiteSelector(SiteKind.TEMPORAL_ATTENTION), self_attention, mean, self.name),
            Rule(
                SiteSelector(SiteKind.GUIDANCE), gated, CopyBranch(self.kept), self.name,
                # The null branch without the frozen attention would draw another picture.
                rests_on=SiteKind.CROSS_ATTENTION,
            ),
        ])  # fmt: skip
