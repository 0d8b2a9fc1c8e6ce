"""The protocol that every approximator fulfils."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ..clock import Clock
    from ..plan import Plan
    from ..values import Value

    History = tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Reuse:
    """The circumstances of one reuse.

    Args:
        clock: the time.
        plan: what the site's rule does in this run.
        given: what this step computed in any case; at the guidance site the output of the branch
            that runs, None elsewhere.
        times: when the latest outputs of the history were computed, oldest first.
    """

    clock: Clock
    plan: Plan
    given: Value | None = None
    times: tuple[Clock, ...] = ()


class Approximator(Protocol):
    """Folds computed outputs of one stream into a history, and stands in for the next output."""

    @property
    def min_history(self) -> int:
        """How many computed outputs must be stored before this can stand in; 0 stores nothing."""
        ...

    @property
    def max_history(self) -> int:
        """How many of the latest outputs shape the answer; what is older need not be stored."""
        ...

    def update(self, history: History, output: Value) -> History:
        """The history after one more computed output, oldest first."""
        ...

    def predict(self, history: History, reuse: Reuse) -> tuple[Value, History]:
        """The value to return instead of computing, and the history after that.

        The value may share memory with the history; the session copies it.
        """
        ...
