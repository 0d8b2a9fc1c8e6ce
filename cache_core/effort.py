"""How much work was asked for: counted where it is done, limited by whoever answers strangers."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

from .errors import EffortError

REASON = (
    "this is more work than a preview may take; expected fewer steps, layers or nodes asked about "
    "at once. A run is not limited: queue it to see what it does"
)

_CURRENT: ContextVar[Effort | None] = ContextVar("stepcache_effort", default=None)


class Effort:
    """Work that may be done for one request; without one there is no limit.

    A unit is about a microsecond of a processor. Seconds are not looked at: the same request is
    answered or refused on every machine, however busy it is.

    Args:
        most: units.
    """

    def __init__(self, most: float) -> None:
        self._most = most
        self.spent = 0.0

    @contextmanager
    def limits(self) -> Generator[None]:
        """What is done inside, in this thread, counts."""
        token = _CURRENT.set(self)
        try:
            yield
        finally:
            _CURRENT.reset(token)

    @property
    def is_exhausted(self) -> bool:
        """Whether more was asked for than allowed."""
        return self.spent > self._most

    def stop(self) -> None:
        """Nobody waits for an answer any more: the next piece of work is not begun."""
        self._most = -1.0

    def spend(self, units: float) -> None:
        """Called before work is done.

        Raises:
            EffortError: there would be more of it than allowed.
        """
        self.spent += units
        if self.is_exhausted:
            raise EffortError(REASON)


def spend(units: float) -> None:
    """Count work that is about to be done.

    Args:
        units: about as many microseconds.

    Raises:
        EffortError: it is more than whoever asked may have.
    """
    effort = _CURRENT.get()
    if effort is not None:
        effort.spend(units)
