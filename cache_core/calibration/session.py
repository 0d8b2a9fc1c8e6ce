"""Sessions that measure: in a calibrating run, and in one whose outcome was predicted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain, pairwise
from time import perf_counter

from ..block_rows import BlockRow
from ..clock import SIGMA_TOLERANCE, Timeline
from ..decisions import COMPUTE, Decision
from ..plan import Plan
from ..report import Report
from ..rules import Rule
from ..session import Answer, Session
from ..sites import Part, Site, SiteKind, part_of
from ..store import Store
from ..streams import StreamKey
from ..values import Value, add_to, copy, is_alike, is_value, join, nbytes
from .meter import Meter
from .recorder import Recorder

GRID_SLACK = 0.05
"""How far from its noise level a step may first be evaluated, as a share of the step."""

REHEARSALS = 3
"""Evaluations in which answering and keeping are rehearsed: in the first one memory is asked for,
and nothing is there that an earlier one kept."""

REHEARSED_NBYTES = 2**26
"""What rehearsals keep, at most, or one value."""

WATCHED_PAIRS = 4
"""Pairs of computed steps that a predicted run compares, spread over it."""


class CalibratingSession(Session):
    """Asks like a session, but only ever computes, except while probing.

    Sensing is one more call of the network, beside the run, in which a group of sites answers with
    what it returned one step before.

    Args:
        recorder: takes in every value.
        meter: takes in what the sites cost.
    """

    times_storing = False

    @property
    def rows(self) -> list[BlockRow]:
        """None: every block is compared by itself."""
        return []

    def __init__(
        self,
        assigned: Mapping[Site, Rule],
        timeline: Timeline,
        report: Report,
        recorder: Recorder,
        meter: Meter,
    ) -> None:
        super().__init__(assigned, timeline, report)
        self._recorder, self._meter = recorder, meter
        self._probed = frozenset[Site]()
        self._wanted: frozenset[Site] = frozenset()
        self._sizes: Counter[Site] = Counter()
        self._parts = {site: part_of(site) for site in assigned}
        self._rehearsals: list[int] = []
        self._rehearsed = Store()
        self._standing_for: dict[Site, tuple[int, int]] = {}
        self._visited: set[int] = set()
        self._is_on_grid = True

    @property
    def peak_nbytes(self) -> int:
        """Most bytes of whole values that were kept at one moment."""
        return max(self._store.peak_nbytes, self._rehearsed.peak_nbytes)

    def has_met(self, steps: int) -> bool:
        """Whether the sampler evaluated each of the first so many steps at its own noise level."""
        return self._is_on_grid and self._visited >= set(range(steps))

    def start_evaluation(self, sigma: float, half_log_snr: float = 0.0) -> None:
        super().start_evaluation(sigma, half_log_snr)
        clock = self.clock
        if len(self._rehearsals) == REHEARSALS and self.clock.evaluation not in self._rehearsals:
            self._rehearsed.clear()
        if clock.step not in self._visited:
            self._visited.add(clock.step)
            length = abs(clock.sigma - self._timeline.sigmas[clock.step + 1])
            slack = max(GRID_SLACK * length, SIGMA_TOLERANCE * clock.sigma)
            self._is_on_grid &= abs(sigma - clock.sigma) <= slack

    def nbytes_of(self, sites: frozenset[Site]) -> int:
        """Bytes of all values that these sites return in one step."""
        return sum(self._sizes[site] for site in sites)

    def holds(self, sites: frozenset[Site]) -> bool:
        """Whether these sites have kept what they returned in the step before."""
        step = self.clock.step - 1
        return all(self._store.newest_step(site) == step for site in sites)

    def keep(self, sites: frozenset[Site], still: frozenset[Site]) -> None:
        """From now on, also keep the whole values of these sites.

        Args:
            still: sites whose values are not stored any more, but needed yet.
        """
        self._wanted = sites
        if not self._store.nbytes:
            return
        for site in self._assigned:
            if site not in sites and site not in still:
                self._store.drop_all(site)

    @contextmanager
    def probing(self, sites: frozenset[Site]) -> Generator[None]:
        """Answer for these sites with what they returned before, and measure nothing."""
        self._probed, self.is_beside = sites, True
        try:
            yield
        finally:
            self._probed, self.is_beside = frozenset[Site](), False

    def decide(self, site: Site, streams: Sequence[StreamKey]) -> Decision:
        if site not in self._probed:
            return COMPUTE
        entries = [self._store.get(site, stream) for stream in streams]
        step = self.clock.step
        return Decision(reuse=all(entry and entry.step == step - 1 for entry in entries))

    def recall(self, site: Site, streams: Sequence[StreamKey], given: Value | None = None) -> Value:
        return join([self._entry(site, stream).history[-1] for stream in streams])

    def keeps(self, site: Site) -> bool:
        return not self.is_beside

    def make(self, function: Callable[[Value], Value], output: Value) -> Value:
        with self._meter.not_counted():
            return function(output)

    @property
    def is_measuring(self) -> bool:
        return not self.is_beside and self._meter.is_measuring

    def measure(self, site: Site) -> Callable[[], None]:
        return self._meter.start(self._parts[site])

    def timed_dispatch(self, answer: Answer, site: Site | None = None) -> Answer:
        if self.is_beside or not self._meter.is_timing or not self._rehearses():
            return answer
        return self._meter.timed_dispatch(answer, None if site is None else self._parts[site])

    def _take(
        self,
        site: Site,
        streams: Sequence[StreamKey],
        output: Value,
        base: Value,
        head: Site | None,
    ) -> None:
        began, clock = perf_counter(), self.clock
        if is_value(output):
            if clock.evaluation == 0:
                self._sizes[site] += nbytes(output)
            value = output if site.kind is not SiteKind.GUIDANCE else _difference(output)
            self._recorder.observe(site, streams, value, clock.step, base=base)
            if self._meter.is_timing and self._rehearses():
                self._rehearse(site, output, streams)
        if self._wanted and site in self._wanted:
            parts = self._divide(site, output, len(streams), base)
            for stream, part in zip(streams, parts, strict=False):
                self._store.put(site, stream, (part,), clock.step)
        self._meter.own_seconds += perf_counter() - began

    def finish(self, outcome: str) -> None:
        super().finish(outcome)
        self._rehearsed.clear()

    def _rehearses(self) -> bool:
        """Whether this is an evaluation in which answering is rehearsed: one of the first timed."""
        now = self.clock.evaluation
        if len(self._rehearsals) < REHEARSALS and now not in self._rehearsals:
            self._rehearsals.append(now)
        return now in self._rehearsals

    def _rehearse(self, site: Site, output: Value, streams: Sequence[StreamKey]) -> None:
        """Do what answering from memory and keeping would: they take time.

        One site does it for all that are like it. The answer is what was kept a step ago: it does
        not lie in the processor's caches any more.
        """
        sites, answering = self._sites_like(site)
        if site.kind is SiteKind.GUIDANCE or not sites:
            return
        meter, part, kept = self._meter, self._parts[site], self._rehearsed
        is_block = site.kind is SiteKind.BLOCK
        if kept.nbytes + nbytes(output) > REHEARSED_NBYTES:
            kept.clear()
        before = [kept.get(site, stream) for stream in streams]
        with meter.timing(meter.keeping[part], sites):
            # What a block adds is a difference, which is added to that of its row.
            value = copy(output) if is_block else output
            for stream, each in zip(streams, self._divide(site, value, len(streams)), strict=False):
                if not is_block or not kept.add(site, stream, site, each):
                    kept.put(site, stream, (each,), self.clock.step)
        with meter.timing(meter.answers[part], answering):
            now = [kept.get(site, stream) for stream in streams]
            # All of them, or else they may not fit to each other.
            found = [entry for entry in (before if all(before) else now) if entry is not None]
            answer = join([entry.history[-1] for entry in found])
            if is_block and is_alike(answer, output):
                add_to(answer, output)

    def _sites_like(self, site: Site) -> tuple[int, int]:
        """How many sites of a part return as much as this one, and how many of them answer, which
        of a row of blocks one does; 0 for all but the first of them."""
        if not self._standing_for:
            alike: dict[tuple[Part, int], list[Site]] = {}
            for each, size in self._sizes.items():
                alike.setdefault((self._parts[each], size), []).append(each)
            for sites in alike.values():
                rows = {_row_of(each, self._starts) for each in sites}
                self._standing_for[sites[0]] = len(sites), len(rows)
        # A site that was not there in the first evaluation stands for itself.
        return self._standing_for.get(site, (0, 0) if site in self._sizes else (1, 1))


def _row_of(site: Site, starts: frozenset[int]) -> int:
    """Equal for blocks of one row, and for no other sites."""
    if site.kind is not SiteKind.BLOCK:
        return site.index
    return max(start for start in starts if start <= site.index)


class WatchingSession(Session):
    """A session that compares some computed values with those computed before them.

    So that what was predicted can be told from what happened. Every change is set beside the one
    predicted for the same two steps, so a few tell as much as all, at a fraction of the time.
    """

    def __init__(
        self,
        assigned: Mapping[Site, Rule],
        timeline: Timeline,
        report: Report,
        recorder: Recorder,
    ) -> None:
        super().__init__(assigned, timeline, report)
        self._recorder = recorder
        watched = {rule: _watched(plan) for rule, plan in self._plans.items()}
        self._watched = {site: watched[rule] for site, rule in assigned.items()}

    def keeps(self, site: Site) -> bool:
        return self._is_watched(site) or super().keeps(site)

    def _take(
        self,
        site: Site,
        streams: Sequence[StreamKey],
        output: Value,
        base: Value,
        head: Site | None,
    ) -> None:
        if super().keeps(site):
            super()._take(site, streams, output, base, head)
        if self._is_watched(site) and is_value(output):
            company = id(self._assigned[site])
            value = output if site.kind is not SiteKind.GUIDANCE else _difference(output)
            self._recorder.observe(site, streams, value, self.clock.step, company, base)

    def _is_watched(self, site: Site) -> bool:
        return self.clock.step in self._watched[site]


def _watched(plan: Plan) -> frozenset[int]:
    """Steps between which values are compared: some of those that compute, one after the other."""
    computing = [step for step, reuses in enumerate(plan.reuse) if not reuses]
    pairs = list(pairwise(computing))
    count = min(WATCHED_PAIRS, len(pairs))
    chosen = (pairs[(2 * number + 1) * len(pairs) // (2 * count)] for number in range(count))
    return frozenset(chain.from_iterable(chosen))


def _difference(guidance: Value) -> Value:
    """What is compared of a pair of branches, of which the one that runs counts as zero."""
    return guidance[1] if isinstance(guidance, tuple) else guidance
