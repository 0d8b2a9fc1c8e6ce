"""What a schedule will save and lose, said before sampling."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..approximators import Approximator, Extrapolate, Reuse
from ..clock import Timeline
from ..plan import Plan
from ..rules import Rule, plans_of
from ..sites import Part, SiteKind
from .calibration import Calibration
from .groups import LAYERS, deep_group, places_of
from .table import ErrorTable, Place


@dataclass(frozen=True, slots=True)
class Prediction:
    """What to expect of a run.

    Args:
        speedup: plain seconds ÷ seconds, from the time that each kind of layer took when the model
            was calibrated.
        flop_bound: the same from floating-point operations alone, whatever else takes time; None
            where they could not be counted.
        error: mean over the steps of the relative error of the network's output, 0 … 1.
        table: the changes that it rests on, at the noise levels of the run.
    """

    speedup: float
    flop_bound: float | None
    error: float
    table: ErrorTable

    def to_dict(self) -> dict[str, float | None]:
        """As plain data."""
        return {"speedup": self.speedup, "flop_bound": self.flop_bound, "error": self.error}

    def __str__(self) -> str:
        flops = f" ({self.flop_bound:.2f}× by FLOPs)" if self.flop_bound else ""
        return f"{self.speedup:.2f}× faster{flops}, {100 * self.error:.1f} % error per step"


def predict(calibration: Calibration, rules: Iterable[Rule], timeline: Timeline) -> Prediction:
    """What rules will save and lose in a run.

    Layers that are not in the calibration count as computed.

    Raises:
        ConfigError: a schedule does not fit the run, or the run not the calibration.
    """
    table = calibration.table.at(timeline.sigmas)
    plans = {
        rule: plan
        for rule, plan in plans_of(rules, timeline).items()
        if not rule.when.never_reuses and _place_of(rule, table) is not None
    }
    errors = _step_errors(calibration, table, plans, timeline)
    costs = calibration.costs
    flops = _cost(costs.flops, calibration, plans, timeline.steps) if costs.flops else None
    seconds = _cost(costs.seconds, calibration, plans, timeline.steps) if costs.seconds else flops
    return Prediction(
        speedup=1 / seconds if seconds else 1.0,
        flop_bound=1 / flops if flops else None,
        error=math.fsum(errors) / timeline.steps,
        table=table,
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


def _step_errors(
    calibration: Calibration, table: ErrorTable, plans: Mapping[Rule, Plan], timeline: Timeline
) -> list[float]:
    """Relative error of the network's output; independent parts add up as squares.

    A layer that computes while others reuse computes from what they return, and what it stores is
    as wrong. Layers that take turns so never store anything right.
    """
    has_feed_forward = any(rule.where.kind is SiteKind.FEED_FORWARD for rule in plans)
    layers = "layers" if has_feed_forward else "attention"
    stored: list[float] = []
    errors: list[float] = []
    for step in range(timeline.steps):
        changes: dict[str, float] = defaultdict(float)
        for rule, plan in plans.items():
            place = _place_of(rule, table)
            if place is None or not plan.reuse[step]:
                continue
            name, missed = str(place.kind), 0.0
            if place.kind in LAYERS:
                name, missed = layers, stored[plan.source(step)]
            elif place.kind is SiteKind.DEEP_BRANCH and place.index is not None:
                name = deep_group(place.index)
            missed += _missed(table, place, rule.what, Reuse(timeline.clock(step), plan))
            # The change of a group is the mean over its kinds.
            kinds = max(len(places_of(name, table)), 1)
            changes[name] += _part_of(rule, calibration) / kinds * missed
        stored.append(changes[layers])
        influenced = (calibration.influence_of(n) * c for n, c in changes.items())
        errors.append(math.sqrt(math.fsum(error**2 for error in influenced)))
    return errors


def _missed(table: ErrorTable, place: Place, what: Approximator, reuse: Reuse) -> float:
    """Relative difference between what is returned and what would have been computed."""
    step, plan = reuse.clock.step, reuse.plan
    source = plan.source(step)
    if what.needs == 0:
        # Guidance that is dropped, not carried on, changes as a whole.
        return 1.0
    change = table.change(place, source, step)
    if not isinstance(what, Extrapolate) or source == 0:
        return change
    # Lengths of two changes and of their sum give the angle between them.
    before = plan.source(source - 1)
    last, both = table.change(place, before, source), table.change(place, before, step)
    if not math.isfinite(last + change):
        return change
    both = min(both, last + change)
    product = (both**2 - last**2 - change**2) / 2
    weight = what.weight.at(reuse)
    return math.sqrt(max(change**2 + (weight * last) ** 2 - 2 * weight * product, 0.0))


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
