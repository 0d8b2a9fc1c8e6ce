"""FasterCache: extrapolate attention, and rebuild the unconditional branch from the conditional."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import ClassVar

from ..approximators import Constant, Extrapolate, FrequencyDelta, Rising, Weight
from ..calibration import Calibration
from ..errors import ConfigError
from ..rules import Rule
from ..schedules import Interval, PercentRange, Window
from ..sites import SiteKind, SiteSelector
from .method import CUSTOM, Method, Preset


@dataclass(frozen=True, slots=True)
class FasterCache(Method):
    """Training-free reuse of attention outputs and of the unconditional branch.

    Args:
        self_attention: range of spatial, full or joint attention in steps, >= 1, 1 never reuses.
        temporal_attention: range of attention over time.
        cross_attention: range of attention to the prompt; the paper leaves it alone.
        attention_window: when attention may be reused.
        attention_phase: added to the step before counting ranges; the scripts count from 1.
        weight: how far the extrapolation goes; the paper's rises from 0 to 1.
        guidance_interval: both branches run every this many steps, the conditional one alone
            between; >= 1, 1 always runs both.
        guidance_window: when a step may run one branch.
        guidance_phase: as `attention_phase`.
        low_gain: factor on the low band of (uncond - cond) inside `low_window`, > 0; the paper's
            1 + alpha_1.
        high_gain: factor on the rest inside `high_window`, > 0; the paper's 1 + alpha_2.
        low_window: when the low band is amplified.
        high_window: when the rest is amplified.
        compounds: amplify again at every reuse, as the released scripts do.
        preset: name of published settings, if they are.

    Raises:
        ConfigError: a parameter is outside its range.

    Source: arXiv 2410.19355, sections 3.2-3.3; Vchitect/FasterCache 02d05ef, ``scripts/``.
    """

    name: ClassVar[str] = "Apply FasterCache"
    title: ClassVar[str] = "FasterCache"
    paper: ClassVar[str] = "arXiv 2410.19355"

    self_attention: int = 2
    temporal_attention: int = 2
    cross_attention: int = 1
    attention_window: Window = field(default=PercentRange(0.3, 1.0))
    attention_phase: int = 0
    weight: Weight = field(default=Rising())
    guidance_interval: int = 5
    guidance_window: Window = field(default=PercentRange(1 / 3, 1.0))
    guidance_phase: int = 0
    low_gain: float = 1.2
    high_gain: float = 1.2
    low_window: Window = field(default=PercentRange(0.0, 0.7))
    high_window: Window = field(default=PercentRange(0.7, 1.0))
    compounds: bool = False
    preset: Preset = CUSTOM

    def __post_init__(self) -> None:
        intervals = {str(kind): n for kind, n in self._ranges().items()}
        for name, interval in (intervals | {"guidance": self.guidance_interval}).items():
            if interval < 1:
                raise ConfigError(
                    f"the range of {name} is {interval}; expected 1 or more "
                    f"(1 never reuses, 2 computes every second step)"
                )
        for name, gain in (("low_gain", self.low_gain), ("high_gain", self.high_gain)):
            if not 0.0 < gain <= 10.0:
                raise ConfigError(
                    f"{name} is {gain:g}; expected more than 0, up to 10 (published: 1.05-1.25)"
                )

    @classmethod
    def proposals(cls, calibration: Calibration) -> Iterator[FasterCache]:
        if SiteKind.GUIDANCE not in calibration.kinds:
            return
        weights = tuple(Constant(value) for value in (0.0, 0.25, 0.5, 0.75, 1.0))
        for start, interval in product((0.15, 0.25, 1 / 3, 0.5), (2, 3, 4, 5, 8)):
            window = PercentRange(start, 1.0)
            for attention in (1, 2, 3):
                for weight in weights if attention > 1 else weights[:1]:
                    yield cls(
                        attention, attention, 1,
                        attention_window=window, weight=weight,
                        guidance_interval=interval, guidance_window=window,
                    )  # fmt: skip

    def rules(self) -> tuple[Rule, ...]:
        attention = [
            Rule(
                SiteSelector(kind),
                Interval(n, self.attention_phase) & self.attention_window,
                Extrapolate(self.weight),
                self.name,
            )
            for kind, n in self._ranges().items()
        ]
        one_branch = Rule(
            SiteSelector(SiteKind.GUIDANCE),
            Interval(self.guidance_interval, self.guidance_phase) & self.guidance_window,
            FrequencyDelta(
                self.low_gain, self.high_gain, self.low_window, self.high_window, self.compounds
            ),
            self.name,
        )
        return self.preset.bind([*attention, one_branch])

    def _ranges(self) -> dict[SiteKind, int]:
        return {
            SiteKind.SELF_ATTENTION: self.self_attention,
            SiteKind.JOINT_ATTENTION: self.self_attention,
            SiteKind.TEMPORAL_ATTENTION: self.temporal_attention,
            SiteKind.CROSS_ATTENTION: self.cross_attention,
        }
