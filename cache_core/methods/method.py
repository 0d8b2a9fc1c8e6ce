"""The base of every method, and settings that have a name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

from ..calibration import Calibration, ModelFacts, Prediction, Study
from ..clock import Timeline
from ..rules import Rule
from ..sites import SiteKind


class Method(ABC):
    """A published method: validated parameters, and the rules they mean.

    Subclasses are frozen dataclasses whose `__post_init__` refuses illegal parameters. Those in
    `METHODS` have a title, and a node in the file of `nodes` that is named as theirs.
    """

    __slots__ = ()

    name: ClassVar[str]
    """Of its node."""
    title: ClassVar[str]
    """What pages and tables call it."""
    paper: ClassVar[str]

    study: Study | None = None
    """Set where the method measures a run instead of reusing in it."""

    made_for: ModelFacts | None = None
    """The only model that the settings mean anything on, where there is one."""

    notes: tuple[str, ...] = ()
    """Remarks for the report."""

    prediction: Prediction | None = None
    """What the method will save and lose, where a calibration tells."""

    @classmethod
    def proposals(cls, calibration: Calibration) -> Iterator[Method]:
        """Settings that an advisor compares; none of a method that it asks in another way."""
        return iter(())

    def fitted(self, timeline: Timeline) -> Method:
        """The method for one run. Most fit any.

        Raises:
            ConfigError: it does not fit this one.
        """
        return self

    @abstractmethod
    def rules(self) -> tuple[Rule, ...]:
        """The method as sentences of where × when × what."""

    idle: frozenset[str] = frozenset()
    """Parameters that mean nothing beside the others."""

    def describe(self) -> str:
        """Name and parameters, for reports; without those that are idle."""
        own: Any = self  # subclasses are dataclasses
        names = [f.name for f in fields(own) if f.name not in self.idle]
        return f"{self.name} ({', '.join(f'{name} {getattr(self, name)}' for name in names)})"


@dataclass(frozen=True, slots=True)
class Preset:
    """The name of published settings, and what they were published for.

    Args:
        name: what people choose.
        kinds: layers that the published model has and the settings are about. A model that lacks
            one of them is refused: on it the numbers would mean something else.
    """

    name: str
    kinds: frozenset[SiteKind] = frozenset()

    def __str__(self) -> str:
        return self.name

    def bind(self, rules: Iterable[Rule]) -> tuple[Rule, ...]:
        """A method's rules, named after the preset, and required where it was published."""
        if self == CUSTOM:
            return tuple(rules)
        return tuple(
            self._required(rule) if rule.where.kind in self.kinds else rule
            for rule in (replace(r, owner=f'{r.owner}, preset "{self.name}"') for r in rules)
        )

    def _required(self, rule: Rule) -> Rule:
        if rule.is_required:
            return rule
        remedy = f'Choose the preset "{CUSTOM}" and set what this model has'
        return replace(rule, is_required=True, remedy=remedy)


CUSTOM = Preset("custom")
"""Settings of one's own."""
