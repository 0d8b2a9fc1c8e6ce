"""What a schedule will save and lose, said before sampling."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from ..approximators import Approximator, Extrapolate, Reuse
from ..clock import Timeline
from ..effort import spend
from ..plan import Plan
from ..rules import Rule, plans_of
from ..schedules import Schedule
from ..sites import SiteKind, SiteSelector
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
        dispatch_overhead: share of a plain evaluation that asking layers takes, whatever they
            answer.
    """

    speedup: float
    flop_bound: float | None
    error: float
    table: ErrorTable
    dispatch_overhead: float = 0.0

    def to_dict(self) -> dict[str, float | None]:
        """As plain data."""
        return {"speedup": self.speedup, "flop_bound": self.flop_bound, "error": self.error}

    def __str__(self) -> str:
        flops = f" ({self.flop_bound:.2f}× by FLOPs)" if self.flop_bound else ""
        return f"{self.speedup:.2f}× faster{flops}, {100 * self.error:.1f} % error per step"


class Predictor:
    """Predictions for one run. What settings have in common is estimated once.

    Args:
        calibration: what was measured.
        timeline: the run.

    Raises:
        ConfigError: the run lies outside of what was calibrated.
    """

    def __init__(self, calibration: Calibration, timeline: Timeline) -> None:
        self.calibration, self._timeline = calibration, timeline
        self.table = calibration.table.at(timeline.sigmas)
        self._planned = cache(self._plan_of)
        self._course = cache(self._course_of)
        self._group = cache(self.group_of)

    def predict(self, rules: Iterable[Rule]) -> Prediction:
        """What rules will save and lose. Layers that are not in the calibration count as computed.

        Raises:
            ConfigError: a schedule does not fit the run.
        """
        plans = plans_of(rules, self._timeline, self._planned)
        found = (
            self._course(rule.where, rule.what, plan)
            for rule, plan in plans.items()
            if not rule.when.never_reuses
        )
        courses = [course for course in found if course is not None]
        spend(len(courses) * self._timeline.steps)
        costs, steps = self.calibration.costs, self._timeline.steps
        flops = _cost(courses, "flops", steps, 0.0) if costs.flops else None
        seconds, overhead = flops, 0.0
        if costs.seconds:
            overhead = dispatch_overhead(
                [course.shares["asking"] for course in courses], costs.patching
            )
            seconds = _cost(courses, "seconds", steps, costs.beyond) + _keeping(courses, steps)
            seconds += overhead
        return Prediction(
            speedup=1 / seconds if seconds else 1.0,
            flop_bound=1 / flops if flops else None,
            error=math.fsum(self._errors(courses)) / steps,
            table=self.table,
            dispatch_overhead=overhead,
        )

    def _errors(self, courses: Sequence[_Course]) -> list[float]:
        """Relative error of the network's output; independent parts add up as squares.

        A layer that computes while others reuse computes from what they return, and what it stores
        is as wrong. Layers that take turns so never store anything right.
        """
        has_feed_forward = any(course.place.kind is SiteKind.FEED_FORWARD for course in courses)
        layers = "layers" if has_feed_forward else "attention"
        parts = [(course, *self._group(course.place, layers)) for course in courses]
        weights = {name: weight for _, name, _, weight in parts}
        stored = [0.0] * self._timeline.steps
        errors: list[float] = []
        for step in range(self._timeline.steps):
            changes: dict[str, float] = {}
            for course, name, kinds, _ in parts:
                source = course.sources[step]
                if source < step:
                    missed = course.missed[step]
                    if name == layers:
                        missed += stored[source]
                    # The change of a group is the mean over its kinds.
                    changes[name] = changes.get(name, 0.0) + course.part / kinds * missed
            stored[step] = changes.get(layers, 0.0)
            errors.append(math.hypot(*(weights[name] * c for name, c in changes.items())))
        return errors

    def _plan_of(self, schedule: Schedule) -> Plan:
        return Plan.of(schedule, self._timeline)

    def group_of(self, place: Place, layers: str) -> tuple[str, int, float]:
        """What is reused together with a place, of how many kinds it is, and its influence."""
        name = str(place.kind)
        if place.kind in LAYERS:
            name = layers
        elif place.kind is SiteKind.DEEP_BRANCH and place.index is not None:
            name = deep_group(place.index)
        kinds = max(len(places_of(name, self.table)), 1)
        return name, kinds, self.calibration.influence_of(name)

    def _course_of(self, where: SiteSelector, what: Approximator, plan: Plan) -> _Course | None:
        """What a plan means for some sites; None where nothing is known of them."""
        place = _place_of(where, self.table)
        if place is None:
            return None
        sources = plan.sources
        # Long reuse is looked up piece by piece, from the step that computed.
        spend(3 * len(sources) + sum(step - source for step, source in enumerate(sources)) / 5)
        missed = tuple(
            _missed(self.table, place, what, Reuse(self._timeline.clock(step), plan))
            if plan.reuse[step]
            else 0.0
            for step in range(len(sources))
        )
        part = part_of(where, self.calibration)
        kind, costs = place.kind, self.calibration.costs
        index = None
        if kind is SiteKind.DEEP_BRANCH:
            (index,) = where.indices or (0,)
        found = {
            "flops": costs.flops, "seconds": costs.seconds, "keeping": costs.keeping,
            "asking": costs.asking,
        }  # fmt: skip
        shares = {name: shares.get((kind, index), 0.0) * part for name, shares in found.items()}
        kept = frozenset(
            step for step in set(sources) if plan.is_needed_after(step, what.max_history)
        )
        return _Course(place, sources, kept, missed, part, shares)


def predict(calibration: Calibration, rules: Iterable[Rule], timeline: Timeline) -> Prediction:
    """As `Predictor.predict`, of a run that is asked about once.

    Raises:
        ConfigError: a schedule does not fit the run, or the run not the calibration.
    """
    return Predictor(calibration, timeline).predict(rules)


@dataclass(frozen=True, slots=True)
class _Course:
    """Some sites over a run.

    Args:
        place: the row of the table about its sites.
        sources: by step the newest one that computed.
        kept: steps of which what is computed is kept.
        missed: by step how far what is returned lies from what would have been computed.
        part: share of the kind's sites.
        shares: of an evaluation: "flops" and "seconds" that reuse saves, and those of "keeping" and
            of "asking".
    """

    place: Place
    sources: tuple[int, ...]
    kept: frozenset[int]
    missed: tuple[float, ...]
    part: float
    shares: Mapping[str, float]


def _cost(courses: Sequence[_Course], what: str, steps: int, beyond: float) -> float:
    """The run's cost, 1 where nothing is reused; `beyond` as `Costs.beyond`."""
    total = 0.0
    for step in range(steps):
        layers = blocks = deep = 0.0
        branches = 1.0
        for course in courses:
            if course.sources[step] == step:
                continue
            if course.place.kind is SiteKind.GUIDANCE:
                branches = 0.5
            elif course.place.kind is SiteKind.DEEP_BRANCH:
                deep = course.shares[what]
            elif course.place.kind in LAYERS:
                layers += course.shares[what]
            else:
                blocks += course.shares[what]
        saved = blocks + (layers + beyond * layers * layers)
        # What is left of the layers outside of the deep branch is not known apart.
        total += branches * (1 - deep) * max(1 - saved, 0.0)
    return total / steps


def _keeping(courses: Sequence[_Course], steps: int) -> float:
    """What keeping adds to the cost of the run; of half a batch it is half as much."""
    single = {
        step
        for course in courses
        if course.place.kind is SiteKind.GUIDANCE
        for step, source in enumerate(course.sources)
        if source < step
    }
    return (
        math.fsum(
            course.shares["keeping"] * (0.5 if step in single else 1.0)
            for course in courses
            for step in course.kept
        )
        / steps
    )


def dispatch_overhead(shares: Sequence[float], patching: float) -> float:
    """What every evaluation of a patched model takes more; where nothing reuses, none is patched.

    Args:
        shares: of an evaluation, that asking takes at what reuses in some step.
        patching: as `Costs.patching`.
    """
    return math.fsum((*shares, patching)) if shares else 0.0


def _missed(table: ErrorTable, place: Place, what: Approximator, reuse: Reuse) -> float:
    """Relative difference between what is returned and what would have been computed."""
    step, plan = reuse.clock.step, reuse.plan
    source = plan.source(step)
    if what.min_history == 0:
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


def _place_of(where: SiteSelector, table: ErrorTable) -> Place | None:
    """The row about some sites: their own, if it is about one, or that of their kind."""
    kind, indices = where.kind, where.indices
    if indices is not None and len(indices) == 1:
        (index,) = indices
        if Place(kind, index) in table.rows:
            return Place(kind, index)
    return Place(kind) if Place(kind) in table.rows else None


def part_of(where: SiteSelector, calibration: Calibration) -> float:
    """The share of a kind's sites that a rule is about."""
    count = calibration.model.layers.get(where.kind, 0)
    if where.kind is SiteKind.DEEP_BRANCH or not count:
        return 1.0
    chosen = len(where.indices) if where.indices is not None else count
    return max(chosen - len(where.excluded), 0) / count
