"""SmoothCache: a schedule per kind of layer, made beforehand, applied as it is."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import InitVar, dataclass, field
from typing import ClassVar

from ..approximators import Hold
from ..calibration import Calibration, ModelFacts, Prediction, Selection, Selector, Target
from ..calibration.table import is_same
from ..clock import Timeline
from ..errors import ConfigError
from ..rules import Rule
from ..schedule_file import Rows
from ..schedules import Mask
from ..sites import SiteKind, SiteSelector
from .method import Method

ASSUMED_STEPS = 20
"""Of a run, while none is known yet: a uniform schedule then has the rules of such a run."""


@dataclass(frozen=True, slots=True)
class SmoothCache(Method):
    """Training-free reuse of layer outputs by a calibrated schedule.

    Args:
        rows: the schedule; a row for one layer wins over the row for its kind.
        label: where it comes from, for reports.
        is_for_any_model: whether rows about layers that a model lacks may be passed over, because
            the schedule was made for no particular one.
        notes: remarks on how the schedule came about.
        prediction: what it will save and lose, if known.

    Raises:
        ConfigError: no rows, rows of different lengths, or two rows for the same layers.

    Source: arXiv 2411.10510, section 3; Roblox/SmoothCache edeb4ed, ``SmoothCache/``.
    """

    name: ClassVar[str] = "SmoothCache Schedule"
    title: ClassVar[str] = "SmoothCache"
    paper: ClassVar[str] = "arXiv 2411.10510"

    rows: Rows
    label: str = "schedule"
    is_for_any_model: bool = False
    notes: tuple[str, ...] = ()
    prediction: Prediction | None = None

    def __post_init__(self) -> None:
        lengths = {len(compute) for _, _, compute in self.rows}
        if len(lengths) != 1 or 0 in lengths:
            raise ConfigError(
                f"{self.label} has rows of {sorted(lengths)} steps; expected one length for all"
            )
        places = [(kind, index) for kind, index, _ in self.rows]
        if len(set(places)) < len(places):
            raise ConfigError(f"{self.label} has two rows for the same layers; expected one each")

    def rules(self) -> tuple[Rule, ...]:
        rows = self._rows_with_joint_attention()
        alone: dict[SiteKind, set[int]] = defaultdict(set)
        for kind, index, _ in rows:
            if index is not None:
                alone[kind].add(index)
        return tuple(
            Rule(
                SiteSelector(kind, excluded=frozenset(alone[kind]))
                if index is None
                else SiteSelector(kind, frozenset({index})),
                Mask(compute),
                Hold(),
                self.name,
                is_required=not self.is_for_any_model,
                remedy="Take a schedule that was made for this model",
            )
            for kind, index, compute in rows
        )

    def _rows_with_joint_attention(self) -> Rows:
        """The reference calls attention "attn", whether it is joined with the prompt or not."""
        kinds = {kind for kind, _, _ in self.rows}
        if SiteKind.JOINT_ATTENTION in kinds:
            return self.rows
        return self.rows + tuple(
            (SiteKind.JOINT_ATTENTION, index, compute)
            for kind, index, compute in self.rows
            if kind is SiteKind.SELF_ATTENTION
        )

    def describe(self) -> str:
        computed = sum(sum(compute) for _, _, compute in self.rows)
        total = sum(len(compute) for _, _, compute in self.rows)
        return f"{self.name} ({self.label}, computes {100 * computed / total:.0f} %)"


@dataclass(frozen=True, slots=True)
class UniformSmoothCache(Method):
    """SmoothCache's uniform baseline: a schedule for as many steps as the run turns out to have.

    Args:
        interval: compute every so many steps, and the last one; >= 1.
        kinds: of layers that follow it, on any model.
        label: where it comes from, for reports.
    """

    name: ClassVar[str] = SmoothCache.name
    paper: ClassVar[str] = SmoothCache.paper

    interval: int
    kinds: tuple[SiteKind, ...]
    label: str = "uniform"

    def over(self, steps: int) -> SmoothCache:
        """The schedule for so many steps, >= 1."""
        compute = tuple(step % self.interval == 0 or step == steps - 1 for step in range(steps))
        rows = tuple((kind, None, compute) for kind in self.kinds)
        return SmoothCache(rows, self.label, is_for_any_model=True)

    def fitted(self, timeline: Timeline) -> SmoothCache:
        return self.over(timeline.steps)

    def rules(self) -> tuple[Rule, ...]:
        return self.over(ASSUMED_STEPS).rules()

    def describe(self) -> str:
        return f"{self.name} ({self.label}, over the steps of the run)"


@dataclass(frozen=True, slots=True)
class CalibratedSmoothCache(Method):
    """SmoothCache by what was measured on a model: the schedule is made when the run is known.

    Args:
        calibration: what was measured.
        wish: which schedule is wanted.
        label: where the calibration comes from, for reports.
        chooser: of that calibration, by whoever asks it more than once.

    Raises:
        ConfigError: the calibration does not have what is wished for.
    """

    name: ClassVar[str] = SmoothCache.name
    paper: ClassVar[str] = SmoothCache.paper

    calibration: Calibration
    target: Target
    label: str = "calibration"
    selector: InitVar[Selector | None] = None
    _selector: Selector = field(init=False, compare=False, repr=False)
    _own: Selection = field(init=False, compare=False, repr=False)

    def __post_init__(self, selector: Selector | None) -> None:
        selector = selector or Selector(self.calibration)
        object.__setattr__(self, "_selector", selector)
        object.__setattr__(self, "_own", selector.choose(self.calibration.timeline, self.target))

    # Frozen: nothing assigns to what the base declares as a variable.
    @property
    def made_for(self) -> ModelFacts:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.calibration.model

    @property
    def own_choice(self) -> Selection:
        """What is chosen for a run like the calibrated one."""
        return self._own

    @property
    def prediction(self) -> Prediction | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self._own.prediction

    @property
    def notes(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return (*self.calibration.remarks, *self._own.notes)

    def fitted(self, timeline: Timeline) -> SmoothCache:
        if is_same(self.calibration.table.sigmas, timeline.sigmas):
            # A search takes its time, and every run would wait for it.
            return self._schedule(self._own)
        return self._schedule(self._selector.choose(timeline, self.target))

    def _schedule(self, chosen: Selection) -> SmoothCache:
        label = f"{self.label}, alpha {chosen.alpha:.3g}"
        notes = (*self.calibration.remarks, *chosen.notes)
        return SmoothCache(chosen.rows, label, notes=notes, prediction=chosen.prediction)

    def rules(self) -> tuple[Rule, ...]:
        return self._schedule(self._own).rules()

    def describe(self) -> str:
        return self._schedule(self._own).describe()
