"""DeepCache: keep the deep feature of a UNet for some steps, run only the shallow part."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import ClassVar

from ..approximators import Hold
from ..calibration import Calibration, Place
from ..calibration.groups import branch_of
from ..errors import ConfigError
from ..non_uniform import NonUniform
from ..rules import Rule
from ..schedules import Interval, PercentRange
from ..sites import SiteKind, SiteSelector
from .method import CUSTOM, Method, Preset


@dataclass(frozen=True, slots=True)
class DeepCache(Method):
    """Training-free acceleration of UNets.

    Args:
        interval: N; one full step, then N - 1 shallow ones; >= 1, 1 never reuses.
        branch: index into ``input_blocks`` of the deepest block that runs on shallow steps; 0
            keeps the first convolution only. Equal to ``cache_branch_id`` of the reference's
            helper; other numberings are listed in docs/methods.md.
        uniform: every N-th step, or the published list that is dense around `center`.
        center: step around which a non-uniform list is densest.
        power: how strongly a non-uniform list gathers there, > 1.
        start_percent: progress before which every step is full, 0 … 1.
        end_percent: progress after which every step is full, 0 … 1.
        preset: name of published settings, if they are.

    Raises:
        ConfigError: a parameter is outside its range.

    Source: arXiv 2312.00858, sections 3.2-3.3; horseee/DeepCache 1691a3a.
    """

    name: ClassVar[str] = "DeepCache UNet"
    title: ClassVar[str] = "DeepCache"
    paper: ClassVar[str] = "arXiv 2312.00858"

    interval: int = 3
    branch: int = 0
    uniform: bool = True
    center: int = 15
    power: float = 1.4
    start_percent: float = 0.0
    end_percent: float = 1.0
    preset: Preset = CUSTOM

    def __post_init__(self) -> None:
        if self.branch < 0:
            raise ConfigError(f"branch is {self.branch}; expected 0 or more (0 skips the most)")
        self.rules()

    @classmethod
    def proposals(cls, calibration: Calibration) -> Iterator[DeepCache]:
        # Only branches whose influence on the picture was measured.
        rows = calibration.table.rows
        found = (branch_of(group) for group in calibration.influence)
        branches = [b for b in found if b is not None and Place(SiteKind.DEEP_BRANCH, b) in rows]
        for branch, interval in product(branches, range(2, 9)):
            yield cls(interval, branch)

    def rules(self) -> tuple[Rule, ...]:
        full_steps = (
            Interval(self.interval)
            if self.uniform
            else NonUniform(self.interval, self.center, self.power)
        )
        rule = Rule(
            where=SiteSelector(SiteKind.DEEP_BRANCH, frozenset({self.branch})),
            when=full_steps & PercentRange(self.start_percent, self.end_percent),
            what=Hold(),
            owner=self.name,
            is_required=True,
        )
        return self.preset.bind([rule])
