"""PAB, Pyramid Attention Broadcast: reuse whole attention outputs, each kind at its own range."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from ..approximators import Hold
from ..errors import ConfigError
from ..rules import Rule
from ..schedules import Interval, PercentRange, TimestepRange
from ..sites import SiteKind, SiteSelector
from .method import Method


@dataclass(frozen=True, slots=True)
class PAB(Method):
    """Training-free reuse of attention outputs in the middle of a run.

    Attention changes most in the first and last steps, and self-attention faster than temporal
    and cross-attention; so each kind is computed once per its range, inside a window.

    Args:
        self_attention: range of spatial or full self-attention in steps, >= 1, 1 never reuses.
        temporal_attention: range of attention over time.
        cross_attention: range of attention to the prompt.
        window: when reuse is allowed, for all three kinds; timesteps as published, or percent.

    Raises:
        ConfigError: a range below 1.

    Source: arXiv 2408.12588, section 3; NUS-HPC-AI-Lab/VideoSys 4cce477,
    ``videosys/core/pab/pab_mgr.py``. The whole output after the projection and before the gate is
    kept, as in diffusers' ``hooks/pyramid_attention_broadcast.py``.
    """

    name: ClassVar[str] = "Apply PAB"
    paper: ClassVar[str] = "arXiv 2408.12588"

    self_attention: int = 2
    temporal_attention: int = 4
    cross_attention: int = 6
    window: PercentRange | TimestepRange = field(default=TimestepRange(100, 850))

    def __post_init__(self) -> None:
        for kind, interval in self._ranges().items():
            if interval < 1:
                raise ConfigError(
                    f"the range of {kind} is {interval}; expected 1 or more "
                    f"(1 never reuses, 2 computes every second step)"
                )

    def rules(self) -> tuple[Rule, ...]:
        return tuple(
            Rule(SiteSelector(kind), Interval(interval) & self.window, Hold(), self.name)
            for kind, interval in self._ranges().items()
        )

    def _ranges(self) -> dict[SiteKind, int]:
        return {
            SiteKind.SELF_ATTENTION: self.self_attention,
            SiteKind.TEMPORAL_ATTENTION: self.temporal_attention,
            SiteKind.CROSS_ATTENTION: self.cross_attention,
        }
