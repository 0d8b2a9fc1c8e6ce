"""What a schedule will do in a run, known before the run: the one source of every preview."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate, islice

from .clock import Timeline
from .effort import spend
from .schedules import Schedule


@dataclass(frozen=True, slots=True)
class Plan:
    """A schedule laid out over the steps of one run.

    Args:
        reuse: one flag per step, True reuses.
        not_asked: steps in which nothing is asked here, because their evaluation is reused.
    """

    reuse: tuple[bool, ...]
    not_asked: frozenset[int] = frozenset()

    @classmethod
    def of(cls, schedule: Schedule, timeline: Timeline) -> Plan:
        """Ask the schedule about the run. Step 0 computes: nothing can be stored before it."""
        spend(timeline.steps)
        return cls((False, *schedule.laid_out(timeline)[1:]))

    def computing_at(self, steps: Iterable[int]) -> Plan:
        """The same plan, except that these steps compute; those beyond the run do not matter."""
        computing = frozenset(steps)
        if not any(reuse and step in computing for step, reuse in enumerate(self.reuse)):
            return self
        reuse = tuple(r and step not in computing for step, r in enumerate(self.reuse))
        return Plan(reuse, self.not_asked)

    def computing_first(self, count: int) -> Plan:
        """The same plan, except that the first so many steps that are asked compute."""
        asked = (step for step in range(len(self.reuse)) if step not in self.not_asked)
        return self.computing_at(islice(asked, count))

    def inside(self, evaluation: Plan) -> Plan:
        """The same plan where whole evaluations are reused.

        Nothing is asked in their steps; where it is the turn of one to compute, the next step that
        is asked computes.

        Args:
            evaluation: the plan of the evaluation site.
        """
        reuse: list[bool] = []
        is_due = False
        for wanted, is_skipped in zip(self.reuse, evaluation.reuse, strict=True):
            is_due |= not wanted
            reuse.append(not is_due and not is_skipped)
            is_due &= is_skipped
        skipped = frozenset(step for step, reuses in enumerate(evaluation.reuse) if reuses)
        return Plan(tuple(reuse), skipped)

    def with_branches(self, guidance: Plan) -> Plan:
        """The same plan where a second branch comes and goes.

        Where both branches run, but only one ran when the value was computed, the other one has
        nothing to reuse; then the step computes. Steps of one branch are not affected.

        Args:
            guidance: the plan of the guidance site; where it reuses, only one branch runs.
        """
        reuse: list[bool] = []
        source = 0
        for step, (wanted, is_single) in enumerate(zip(self.reuse, guidance.reuse, strict=True)):
            reuse.append(wanted and (is_single or not guidance.reuse[source]))
            if not reuse[-1] and step not in self.not_asked:
                source = step
        return Plan(tuple(reuse), self.not_asked)

    @property
    def strip(self) -> str:
        """One letter per step: C computes, R reuses, "." is not asked."""
        return "".join(
            "R" if reuse else "." if step in self.not_asked else "C"
            for step, reuse in enumerate(self.reuse)
        )

    def source(self, step: int) -> int:
        """The newest step at or before `step` that computes."""
        while self.reuse[step] or step in self.not_asked:
            step -= 1
        return step

    @property
    def sources(self) -> tuple[int, ...]:
        """`source` of every step."""
        computed = (0 if letter != "C" else step for step, letter in enumerate(self.strip))
        return tuple(accumulate(computed, max))

    def is_needed_after(self, step: int, needs: int = 1) -> bool:
        """Whether what `step` computes may still be reused.

        With one step of slack, because multi-evaluation samplers (heunpp2) step back by one.

        Args:
            step: the step that computes.
            needs: outputs that the approximator combines, 0 for none; an output is of no use once
                that many later ones have been computed.
        """
        if needs == 0:
            return False
        if any(self.reuse[max(step - 1, 0) : step + 1]):
            return True
        later = (i for i in range(step + 1, len(self.reuse)) if i not in self.not_asked)
        return any(self.reuse[i] for i in islice(later, needs))
