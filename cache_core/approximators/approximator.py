"""The protocol that every approximator fulfils."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ..clock import Clock
    from ..plan import Plan
    from ..values import Value

    Past = tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Reuse:
    """The circumstances of one reuse.

    Args:
        clock: the time.
        plan: what the site's rule does in this run.
        given: what this step computed in any case; at the guidance site the output of the branch
            that runs, None elsewhere.
        times: when the latest outputs of the past were computed, oldest first.
    """

    clock: Clock
    plan: Plan
    given: Value | None = None
    times: tuple[Clock, ...] = ()


class Approximator(Protocol):
    """Folds computed outputs of one stream into a past, and stands in for the next output."""

    @property
    def needs(self) -> int:
        """How many computed outputs must be stored before this can stand in; 0 stores nothing."""
        ...

    @property
    def remembers(self) -> int:
        """How many of the latest outputs shape the answer; what is older need not be stored."""
        ...

    def observe(self, past: Past, output: Value) -> Past:
        """The past after one more computed output, oldest first."""
        ...

    def approximate(self, past: Past, reuse: Reuse) -> tuple[Value, Past]:
        """The value to return instead of computing, and the past after that.

        The value may share memory with the past; the session copies it.
        """
        ...
