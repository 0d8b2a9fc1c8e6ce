"""The protocol that every approximator fulfils."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ..clock import Clock
    from ..values import Value


class Approximator(Protocol):
    """Folds computed outputs of one stream into a past, and stands in for the next output."""

    @property
    def needs(self) -> int:
        """How many computed outputs must be stored before this can stand in."""
        ...

    def observe(self, past: tuple[Value, ...], output: Value) -> tuple[Value, ...]:
        """The past after one more computed output, oldest first."""
        ...

    def approximate(self, past: tuple[Value, ...], clock: Clock) -> Value:
        """The value to return instead of computing. May share memory with `past`."""
        ...
