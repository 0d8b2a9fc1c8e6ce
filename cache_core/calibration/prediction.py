"""What a schedule will save and lose, said before sampling."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..clock import Timeline
from ..plan import Plan
from ..rules import Rule, plans_of
from ..sites import SiteKind
from .calibration import Calibration, Part
from .table import ErrorTable, Place

ATTENTION = frozenset({
    SiteKind.SELF_ATTENTION, SiteKind.JOINT_ATTENTION, SiteKind.TEMPORAL_ATTENTION,
    SiteKind.CROSS_ATTENTION,
})  # fmt: skip

LAYERS = ATTENTION | {SiteKind.FEED_FORWARD}


@dataclass(frozen=True, slots=True)
class Prediction:
    """What to expect of a run.

    Args:
        speedup: plain seconds ÷ seconds, from the time that each kind of layer took when the model
            was calibrated.
        flop_bound: the same from floating-point operations, which no run can pass; None where they
            could not be counted.
        error: mean over the steps of the relative error of the network's output, 0 … 1.
    """

    speedup: float
    flop_bound: float | None
    error: float

    def __str__(self) -> str:
        bound = f", at most {self.flop_bound:.2f}× by FLOPs" if self.flop_bound else ""
        return f"{self.speedup:.2f}× faster{bound}, {100 * self.error:.1f} % error per step"


def predict(calibration: Calibration, rules: Iterable[Rule], timeline: Timeline) -> Prediction:
    """What rules will save and lose in a run.

    Layers that are not in the calibration count as computed.

    Raises:
        ConfigError: a schedule does not fit the run, or the run not the calibration.
    """
    table = calibration.table.at(timeline.sigmas)
    plans = {
        rule: plan for rule, plan in plans_of(rules, timeline).items() if not rule.when.never_reuses
    }
    errors = [_step_error(calibration, table, plans, step) for step in range(timeline.steps)]
    costs = calibration.costs
    flops = _cost(costs.flops, calibration, plans, timeline.steps) if costs.flops else None
    seconds = _cost(costs.seconds, calibration, plans, timeline.steps) if costs.seconds else flops
    return Prediction(
        speedup=1 / seconds if seconds else 1.0,
        flop_bound=1 / flops if flops else None,
        error=math.fsum(errors) / timeline.steps,
    )


def _cost(
    shares: Mapping[Part, float],
    calibration: Calibration,
    plans: Mapping[Rule, Plan],
    steps: int,
) -> float:
    """The run's cost, 1 where nothing is reused."""
    total = 0.0
    for step in range(steps):
        layers = deep = 0.0
        branches = 1.0
        for rule, plan in plans.items():
            if not plan.reuse[step]:
                continue
            kind = rule.where.kind
            if kind is SiteKind.GUIDANCE:
                branches = 0.5
            elif kind is SiteKind.DEEP_BRANCH:
                (index,) = rule.where.indices or (0,)
                deep = shares.get((kind, index), 0.0)
            else:
                layers += shares.get((kind, None), 0.0) * _part_of(rule, calibration)
        # What is left of the layers outside of the deep branch is not known apart.
        total += branches * (1 - deep) * max(1 - layers, 0.0)
    return total / steps


def _step_error(
    calibration: Calibration, table: ErrorTable, plans: Mapping[Rule, Plan], step: int
) -> float:
    """Relative error of the network's output; independent parts add up as squares."""
    changes: dict[str, dict[SiteKind, float]] = defaultdict(lambda: defaultdict(float))
    group = "attention"
    if any(rule.where.kind is SiteKind.FEED_FORWARD for rule in plans):
        group = "layers"
    for rule, plan in plans.items():
        place = _place_of(rule, table)
        if place is None:
            continue
        change = 0.0
        if plan.reuse[step]:
            # Guidance that is dropped, not carried on, changes as a whole.
            is_dropped = place.kind is SiteKind.GUIDANCE and rule.what.needs == 0
            change = 1.0 if is_dropped else table.change(place, plan.source(step), step)
        name = group if place.kind in LAYERS else str(place.kind)
        if place.kind is SiteKind.DEEP_BRANCH:
            name = f"{place.kind} {place.index}"
        changes[name][place.kind] += change * _part_of(rule, calibration)
    return math.sqrt(
        sum(
            (calibration.influence.get(name, 1.0) * math.fsum(kinds.values()) / len(kinds)) ** 2
            for name, kinds in changes.items()
        )
    )


def _place_of(rule: Rule, table: ErrorTable) -> Place | None:
    """The row about a rule's sites: their own, if it is about one, or that of their kind."""
    kind, indices = rule.where.kind, rule.where.indices
    if indices is not None and len(indices) == 1:
        (index,) = indices
        if Place(kind, index) in table.rows:
            return Place(kind, index)
    return Place(kind) if Place(kind) in table.rows else None


def _part_of(rule: Rule, calibration: Calibration) -> float:
    """The share of a kind's sites that a rule is about."""
    where, count = rule.where, calibration.model.layers.get(rule.where.kind, 0)
    if where.kind is SiteKind.DEEP_BRANCH or not count:
        return 1.0
    chosen = len(where.indices) if where.indices is not None else count
    return max(chosen - len(where.excluded), 0) / count


def drift(table: ErrorTable, place: Place, compute: Sequence[bool]) -> dict[int, float]:
    """How far a layer will have gone from its kept value when it is computed again, by step.

    Where that is more steps than were measured, it is left out.
    """
    found: dict[int, float] = {}
    source = 0
    for step in range(1, len(compute)):
        if compute[step]:
            if 1 < step - source <= table.lookahead:
                found[step] = table.change(place, source, step)
            source = step
    return found
