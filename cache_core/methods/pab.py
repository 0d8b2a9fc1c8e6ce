"""PAB, Pyramid Attention Broadcast: reuse whole attention outputs, each kind at its own range."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import ClassVar

from ..approximators import Hold
from ..calibration import Calibration
from ..errors import ConfigError
from ..rules import Rule
from ..schedules import Broadcast, Interval, PercentRange, TimestepRange, Window
from ..sites import SiteKind, SiteSelector
from .method import CUSTOM, Method, Preset

WINDOWS = tuple(
    PercentRange(start, end) for start, end in product((0.0, 0.1, 0.2, 0.3), (0.9, 1.0))
)
_NO_BLOCKS = "Set the range of whole blocks to 1 and reuse attention"


@dataclass(frozen=True, slots=True)
class PAB(Method):
    """Training-free reuse of attention outputs in the middle of a run.

    Attention changes most in the first and last steps, and self-attention faster than temporal
    and cross-attention; so each kind is computed once per its range, inside a window.

    Args:
        self_attention: range of spatial, full or joint attention in steps, >= 1, 1 never reuses.
        temporal_attention: range of attention over time.
        cross_attention: range of attention to the prompt.
        window: when reuse is allowed, for all three kinds; timesteps as published, or percent.
        feed_forward_starts: points of the run at which feed-forward layers compute and begin to be
            reused, as fractions of its steps, 0 <= start < 1; none leaves them alone.
        feed_forward_count: steps that reuse after each start, >= 0.
        feed_forward_blocks: how many layers take part, counted from the first; >= 0.
        block: range of whole blocks, >= 1; above 1 it takes the place of all the others. Not in
            the paper: for blocks whose attention cannot be left out as a whole.
        preset: name of published settings, if they are.

    Raises:
        ConfigError: a range below 1, a start outside the run, a negative count.

    Source: arXiv 2408.12588, section 3; NUS-HPC-AI-Lab/VideoSys 4cce477,
    ``videosys/core/pab/pab_mgr.py``. The whole output after the projection and before the gate is
    kept, as in diffusers' ``hooks/pyramid_attention_broadcast.py``.
    """

    name: ClassVar[str] = "Apply PAB"
    title: ClassVar[str] = "PAB"
    paper: ClassVar[str] = "arXiv 2408.12588"

    self_attention: int = 2
    temporal_attention: int = 4
    cross_attention: int = 6
    window: Window = field(default=TimestepRange(100, 850))
    feed_forward_starts: tuple[float, ...] = ()
    feed_forward_count: int = 0
    feed_forward_blocks: int = 0
    block: int = 1
    preset: Preset = CUSTOM

    def __post_init__(self) -> None:
        for kind, interval in {**self._ranges(), SiteKind.BLOCK: self.block}.items():
            if interval < 1:
                raise ConfigError(
                    f"the range of {kind} is {interval}; expected 1 or more "
                    f"(1 never reuses, 2 computes every second step)"
                )
        if self.feed_forward_blocks < 0:
            raise ConfigError(
                f"feed_forward_blocks is {self.feed_forward_blocks}; expected 0 or more (0: none)"
            )
        Broadcast(self.feed_forward_starts, self.feed_forward_count)

    # Frozen: nothing assigns to what the base declares as a variable.
    @property
    def idle(self) -> frozenset[str]:  # pyright: ignore[reportIncompatibleVariableOverride]
        feed_forward = {"feed_forward_starts", "feed_forward_count", "feed_forward_blocks"}
        if self.block > 1:
            return frozenset({*feed_forward, *map(str, self._ranges())})
        return frozenset({"block"} if self.feed_forward_blocks else {"block", *feed_forward})

    @classmethod
    def proposals(cls, calibration: Calibration) -> Iterator[PAB]:
        known = calibration.kinds
        others = (2, 3, 4, 6, 8) if SiteKind.CROSS_ATTENTION in known else (1,)
        over_time = (2, 4) if SiteKind.TEMPORAL_ATTENTION in known else (1,)
        for own, time, cross, window in product((1, 2, 3, 4), over_time, others, WINDOWS):
            yield cls(own, time, cross, window)
        for block, window in product((2, 3, 4, 5), WINDOWS):
            yield cls(block=block, window=window)

    def rules(self) -> tuple[Rule, ...]:
        attention = [
            Rule(SiteSelector(kind), Interval(interval) & self.window, Hold(), self.name)
            for kind, interval in self._ranges().items()
        ]
        if self.block > 1:
            # A reused block asks none of its layers; their ranges mean nothing beside it.
            whole = Interval(self.block) & self.window
            where = SiteSelector(SiteKind.BLOCK)
            return self.preset.bind(
                [Rule(where, whole, Hold(), self.name, is_required=True, remedy=_NO_BLOCKS)]
            )
        broadcast = Broadcast(self.feed_forward_starts, self.feed_forward_count)
        if broadcast.never_reuses or not self.feed_forward_blocks:
            return self.preset.bind(attention)
        blocks = frozenset(range(self.feed_forward_blocks))
        where = SiteSelector(SiteKind.FEED_FORWARD, blocks)
        return self.preset.bind([*attention, Rule(where, broadcast, Hold(), self.name)])

    def _ranges(self) -> dict[SiteKind, int]:
        return {
            SiteKind.SELF_ATTENTION: self.self_attention,
            SiteKind.JOINT_ATTENTION: self.self_attention,
            SiteKind.TEMPORAL_ATTENTION: self.temporal_attention,
            SiteKind.CROSS_ATTENTION: self.cross_attention,
        }
