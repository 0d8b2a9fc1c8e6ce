"""What the attached methods will do in one run, once its schedule is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..calibration import Prediction
from ..clock import Timeline
from ..errors import ConfigError
from ..rules import Rule, assign, plans_of
from ..sites import Site
from ..strips import shares_of, strips_of, without_guidance
from .installation import Installation, RuleSource


@dataclass(frozen=True, slots=True)
class Planned:
    """Methods fitted to a run.

    Args:
        methods: as they act in it.
        claimed: the rule of every site that they claim.
        assigned: the same without guidance, where one branch runs.
        strips: per kind C all its sites compute, R all reuse, P some of them.
    """

    methods: tuple[RuleSource, ...]
    claimed: Mapping[Site, Rule]
    assigned: Mapping[Site, Rule]
    strips: Mapping[str, str]

    @classmethod
    def of(cls, installation: Installation, timeline: Timeline, has_one_branch: bool) -> Planned:
        """Fit what is attached to a run.

        Args:
            has_one_branch: whether the host leaves out the unconditional branch in every step, so
                that plans need not wait for it.

        Raises:
            ConfigError: the settings do not fit this schedule.
        """
        names = " + ".join(method.name for method in installation.methods)
        try:
            methods = tuple(method.fitted(timeline) for method in installation.methods)
            claimed = _claimed(installation, methods)
            assigned = without_guidance(claimed) if has_one_branch else claimed
            plans = plans_of(set(assigned.values()), timeline)
            return cls(methods, claimed, assigned, strips_of(shares_of(assigned, plans)))
        except ConfigError as error:
            raise ConfigError(f"{names}: {error}") from error

    @property
    def prediction(self) -> Prediction | None:
        """What is expected of the run; nothing where a second method changes it."""
        return self.methods[0].prediction if len(self.methods) == 1 else None

    @property
    def notes(self) -> tuple[str, ...]:
        """What the methods have to say about this run."""
        return tuple(note for method in self.methods for note in method.notes)


def _claimed(installation: Installation, methods: Sequence[RuleSource]) -> Mapping[Site, Rule]:
    if all(a is b for a, b in zip(methods, installation.methods, strict=True)):
        return installation.assigned
    rules = [rule for method in methods for rule in method.rules()]
    return assign(rules, installation.assigned)
