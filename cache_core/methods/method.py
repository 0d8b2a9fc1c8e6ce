"""The base of every method."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import fields
from typing import ClassVar

from ..rules import Rule


class Method(ABC):
    """A published method: validated parameters, and the rules they mean.

    Subclasses are frozen dataclasses whose `__post_init__` refuses illegal parameters.
    """

    __slots__ = ()

    name: ClassVar[str]
    paper: ClassVar[str]

    @abstractmethod
    def rules(self) -> tuple[Rule, ...]:
        """The method as sentences of where × when × what."""

    def describe(self) -> str:
        """Name and parameters, for reports."""
        values = (f"{field.name} {getattr(self, field.name)}" for field in fields(self))  # type: ignore[arg-type]
        return f"{self.name} ({', '.join(values)})"
