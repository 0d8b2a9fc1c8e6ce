"""Compute or reuse, and the stored values. A session lives for one sampling run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from . import decisions
from .approximators import Approximator, BranchMean, Reuse
from .block_rows import BlockRow, block_rows_of, starts_of, values_of
from .clock import Clock, Timeline
from .decisions import COMPUTE, REUSE, Decision
from .errors import StepCacheError
from .estimate import Observation
from .report import Report
from .rules import Rule, coverage_of, plans_of
from .sites import Site, SiteKind
from .store import Entry, Store
from .streams import StreamKey
from .values import Value, difference, is_alike, is_value, join, moved, split

Compute = Callable[..., Any]
"""A function as it was before ours stood in for it: the host's own, or another node's."""

Answer = Callable[[Compute, tuple[Any, ...], dict[str, Any]], Any]
"""What to say to one call of such a function, which stands ready to compute."""

MAX_EVALUATIONS_PER_STEP = 3
"""Evaluations that a stored value may serve, per step of its age. Heun, SDE and SEEDS samplers need
up to three; an adaptive sampler that stays longer inside a step gets a fresh value instead."""


class Session:
    """Decides compute or reuse for every site of one run, and keeps the values.

    Args:
        assigned: the rule of every claimed site.
        timeline: the run's sigma schedule.
        report: receives every decision.
    """

    def __init__(self, assigned: Mapping[Site, Rule], timeline: Timeline, report: Report) -> None:
        self._assigned = assigned
        self._timeline = timeline
        self._report = report
        self._store = Store()
        self._clock: Clock | None = None
        self._unfit: set[Site] = set()
        self._open: dict[Site, bool] = {}
        self._plans = plans_of(set(assigned.values()), timeline)
        # By site, because a rule is long to look up: it is all that it says.
        self._plan_of = {site: self._plans[rule] for site, rule in assigned.items()}
        self._starts = starts_of(assigned)

    @property
    def rows(self) -> list[BlockRow]:
        """Blocks of which what they add may be kept as one sum."""
        return block_rows_of(self._assigned, self._plans, self._starts)

    @property
    def store(self) -> Store:
        """Where the values live."""
        return self._store

    @property
    def report(self) -> Report:
        """Receives every decision."""
        return self._report

    @property
    def clock(self) -> Clock:
        """The current time.

        Raises:
            StepCacheError: no evaluation has begun.
        """
        if self._clock is None:
            raise StepCacheError("the model was called before the sampler announced an evaluation")
        return self._clock

    def set_approximator(self, site: Site, what: Approximator) -> None:
        """From now on another approximator stands in at a site; its history begins anew."""
        rule = replace(self._assigned[site], what=what)
        self._assigned = {**self._assigned, site: rule}
        self._plans = {**self._plans, rule: self._plan_of[site]}
        self._store.drop_all(site)

    def rule_of(self, site: Site) -> Rule:
        """The rule that a claimed site follows."""
        return self._assigned[site]

    def start_evaluation(self, sigma: float, half_log_snr: float = 0.0) -> None:
        """Tell the time: the sampler is about to evaluate the model at `sigma`."""
        since = self._clock.step if self._clock else 0
        step = self._timeline.locate(sigma, since)
        self._clock = self._timeline.clock(step, self._report.evaluations, half_log_snr)
        self._report.start_evaluation(step, self._store.nbytes)

    def decide(self, site: Site, streams: Sequence[StreamKey]) -> Decision:
        """Compute or reuse? Reuse needs the schedule's leave and fresh values of every stream."""
        rule = self._assigned[site]
        plan = self._plan_of[site]
        step = self.clock.step
        if not plan.reuse[step]:
            return COMPUTE
        if streams[0].doubt:
            return Decision(reuse=False, forced=streams[0].doubt)
        source = plan.source(step)
        if rule.requires is not None and not self._holds(rule.requires, source):
            return Decision(reuse=False, forced=decisions.NOT_SETTLED)
        if rule.what.min_history == 0:
            return REUSE
        for stream in streams:
            entry = self._store.get(site, stream) or self._store.merged(site, stream)
            if entry is None or len(entry.history) < rule.what.min_history:
                reason = decisions.UNFIT if site in self._unfit else decisions.NOT_STORED
                return Decision(reuse=False, forced=reason)
            if entry.step < source:
                return Decision(reuse=False, forced=decisions.TOO_OLD)
            if entry.weights != stream.weights and entry.partner != stream:
                return Decision(reuse=False, forced=decisions.OTHER_WEIGHTS)
            if entry.reuses >= MAX_EVALUATIONS_PER_STEP * max(step - entry.step, 1):
                return Decision(reuse=False, forced=decisions.TOO_OFTEN)
        return REUSE

    def recall(self, site: Site, streams: Sequence[StreamKey], given: Value | None = None) -> Value:
        """The approximation for all streams, in memory of its own, counted as reused.

        Args:
            given: what this step computed in any case, for approximators that build on it.
        """
        rule = self._assigned[site]
        clock, plan = self.clock, self._plan_of[site]
        if isinstance(rule.what, BranchMean) and rule.what.merges_branches(clock.step):
            for stream in streams:
                self._store.merge_branches(site, stream, rule.what.merge)
        values: list[Value] = []
        for stream in streams:
            if rule.what.min_history == 0:
                values.append(rule.what.predict((), Reuse(clock, plan, given))[0])
                continue
            entry = self._entry(site, stream)
            if stream.device is not None:
                entry.history = tuple(moved(value, stream.device) for value in entry.history)
            reuse = Reuse(clock, plan, given, entry.times)
            value, entry.history = rule.what.predict(entry.history, reuse)
            values.append(value)
            # An entry of two branches is as old whichever of them is asked for.
            entry.reuses += entry.partner != stream
        self._report.count(site.kind, clock.step, reused=True, streams=len(streams))
        return join(values)

    def keeps(self, site: Site) -> bool:
        """Whether what the current step computes at a site may be needed later."""
        max_history = self._assigned[site].what.max_history
        return self._plan_of[site].is_needed_after(self.clock.step, max_history)

    def record(
        self,
        site: Site,
        streams: Sequence[StreamKey],
        output: Value,
        decision: Decision,
        base: Value = None,
        head: Site | None = None,
    ) -> None:
        """Store what was computed, if anything will reuse it, and count it as computed.

        What cannot be stored is computed at every step; the report says so.

        Args:
            base: what is stored of the output is what it adds to this.
            head: the site to whose value it is added, if it fits; else it is stored by itself.
        """
        if self.is_beside:
            return
        self.count(site, streams, decision)
        if self.keeps(site) and not streams[0].doubt:
            self._take(site, streams, output, base, head)

    def count(self, site: Site, streams: Sequence[StreamKey], decision: Decision) -> None:
        """Count a site as computed."""
        self._report.count(
            site.kind, self.clock.step, reused=False, streams=len(streams), forced=decision.forced
        )

    def _take(
        self,
        site: Site,
        streams: Sequence[StreamKey],
        output: Value,
        base: Value,
        head: Site | None,
    ) -> None:
        """Keep what was computed; arguments as for `record`."""
        rule, step = self._assigned[site], self.clock.step
        parts = self._divide(site, output, len(streams), base)
        for stream, part in zip(streams, parts, strict=False):
            if head is not None and self._store.add(head, stream, site, part):
                continue
            entry = self._store.get(site, stream)
            # A layer that changes what it returns (another node's doing) begins a new history.
            goes_on = (
                entry and entry.weights == stream.weights and is_alike(entry.history[-1], part)
            )
            history, times = (entry.history, entry.times) if entry and goes_on else ((), ())
            times = (*times, self.clock)[-rule.what.max_history :]
            self._store.put(site, stream, rule.what.update(history, part), step, times)

    def pass_on(self, site: Site, streams: Sequence[StreamKey]) -> None:
        """Count as reused what was given with the value of another site."""
        self._report.count(site.kind, self.clock.step, reused=True, streams=len(streams))

    def make(self, function: Callable[[Value], Value], output: Value) -> Value:
        """What is kept of what a layer returned; while calibrating, making it is measuring."""
        return function(output)

    def add_storing(self, seconds: float) -> None:
        """So long the current step was about keeping something for later ones."""
        self._report.add_storing(self.clock.step, seconds)

    def _divide(
        self, site: Site, output: Value, parts: int, base: Value = None
    ) -> tuple[Value, ...]:
        """One part per stream of what an output adds; none where that is not possible."""
        try:
            if output is not None and is_value(output):
                return split(output if base is None else difference(output, base), parts)
        except ValueError:
            pass
        self._unfit.add(site)
        return ()

    is_beside = False
    """Whether the current call is no part of the run: nothing of it counts, or is kept."""

    times_storing = True
    """Whether what storing takes is to be told; while calibrating, it would say nothing."""

    @property
    def is_measuring(self) -> bool:
        """Whether it is measured now what computing costs."""
        return False

    def measure(self, site: Site) -> Callable[[], None]:
        """Begin to measure what computing a site costs; asked for only while `is_measuring`.

        Returns:
            What to call when it is computed.
        """
        return _nothing

    def timed_dispatch(self, answer: Answer, site: Site | None = None) -> Answer:
        """The answer that a site gets in the current call, or the whole call; while calibrating now
        and then one that is measured."""
        return answer

    def finish(self, outcome: str) -> None:
        """End the run: drop every value and close the report."""
        self._report.finish(outcome, self._store.peak_nbytes, self._store.nbytes)
        self._report.observed = self._observed()
        self._store.clear()

    def _observed(self) -> Observation:
        """What steps took, by what was reused in them, and the bytes of what was kept."""
        parts = coverage_of(self._assigned, self._report.layers)
        steps = [
            (
                {p: n * self._report.share_of(p[0].value, step) for p, n in parts.items()},
                seconds,
                min(self._report.storing_seconds.get(step, 0.0), seconds),
            )
            for step, seconds in sorted(self._report.step_seconds.items())
        ]
        kept = values_of(self._assigned, self._plans, self._starts)
        nbytes = {p: n / kept[p] for p, n in self._store.peak_nbytes_of.items() if p in kept}
        return Observation.of(steps, nbytes, sorted(self._starts))

    def begin_call(self, site: Site, is_open: bool) -> None:
        """A site in one call of the model.

        Args:
            is_open: whether it computes in it, whatever is stored: others have to see it do so.
        """
        # A patch may be there in the pass of another guidance alone.
        self._open[site] = is_open and self._open.get(site, True)

    def _holds(self, kind: SiteKind, since: int) -> bool:
        """Whether all sites of this kind will be answered for: a value was stored in the step
        `since` or later, and none of them has to compute. Some networks never call some."""
        sites = [site for site in self._assigned if site.kind is kind]
        if any(site in self._unfit or self._open.get(site, False) for site in sites):
            return False
        return any(self._store.newest_step(site) >= since for site in sites)

    def _entry(self, site: Site, stream: StreamKey) -> Entry:
        entry = self._store.get(site, stream) or self._store.merged(site, stream)
        if entry is None:
            raise StepCacheError(f"{site} has nothing stored; decide() was not asked first")
        return entry


def _nothing() -> None:
    """What most sessions have to do when a site is computed."""
