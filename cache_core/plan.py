"""What a schedule will do in a run, known before the run: the one source of every preview."""

from __future__ import annotations

from dataclasses import dataclass

from .clock import Timeline
from .schedules import Schedule


@dataclass(frozen=True, slots=True)
class Plan:
    """A schedule laid out over the steps of one run.

    Args:
        reuse: one flag per step, True reuses.
    """

    reuse: tuple[bool, ...]

    @classmethod
    def of(cls, schedule: Schedule, timeline: Timeline) -> Plan:
        """Ask the schedule at every step."""
        return cls(
            tuple(schedule.may_reuse(timeline.clock(step)) for step in range(timeline.steps))
        )

    @property
    def strip(self) -> str:
        """One letter per step: C computes, R reuses."""
        return "".join("R" if reuse else "C" for reuse in self.reuse)

    def source(self, step: int) -> int:
        """The newest step at or before `step` that computes; 0 where none does."""
        while step > 0 and self.reuse[step]:
            step -= 1
        return step

    def is_needed_after(self, step: int, needs: int = 1) -> bool:
        """Whether what `step` computes may still be reused.

        With one step of slack, because multi-evaluation samplers (heunpp2) step back by one.

        Args:
            step: the step that computes.
            needs: outputs that the approximator combines; with 1, only the steps up to the next
                computed one can use this output.
        """
        end = step + 2 if needs == 1 else None
        return any(self.reuse[max(step - 1, 0) : end])
