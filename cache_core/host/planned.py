"""What the attached methods will do in one run, once its schedule is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

from ..calibration import ModelFacts, Prediction, Study
from ..clock import Timeline
from ..errors import ConfigError
from ..plan import Plan
from ..rules import Rule, assign, plans_of
from ..schedules import Never
from ..sites import Site
from ..strips import shares_of, strips_of, without_guidance
from .installation import Installation, RuleSource


@dataclass(frozen=True, slots=True)
class Idle:
    """A method whose settings do not fit a run: every step computes, and the picture stays right.

    Args:
        method: as it is attached.
        reason: what does not fit, and what to do.
    """

    method: RuleSource
    reason: str

    prediction: Prediction | None = None

    @property
    def name(self) -> str:
        return self.method.name

    @property
    def study(self) -> Study | None:
        return self.method.study

    @property
    def made_for(self) -> ModelFacts | None:
        return self.method.made_for

    @property
    def notes(self) -> tuple[str, ...]:
        return (f"{self.name}: {self.reason}",)

    def fitted(self, timeline: Timeline) -> RuleSource:
        return self.method.fitted(timeline)

    def rules(self) -> tuple[Rule, ...]:
        return tuple(
            replace(rule, when=Never(), full_steps=frozenset(), requires=None)
            for rule in self.method.rules()
        )

    def describe(self) -> str:
        return self.method.describe()


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
        """
        methods = tuple(_fitted(method, timeline) for method in installation.methods)
        claimed = _claimed(installation, methods)
        assigned = without_guidance(claimed) if has_one_branch else claimed
        plans = plans_of(set(assigned.values()), timeline)
        return cls(methods, claimed, assigned, strips_of(shares_of(assigned, plans)))

    @property
    def prediction(self) -> Prediction | None:
        """What is expected of the run; nothing where a second method changes it."""
        return self.methods[0].prediction if len(self.methods) == 1 else None

    @property
    def idle(self) -> str:
        """Why none of the methods has anything to do in this run; empty where one may."""
        reasons = [method.reason for method in self.methods if isinstance(method, Idle)]
        return "; ".join(reasons) if len(reasons) == len(self.methods) else ""

    @property
    def notes(self) -> tuple[str, ...]:
        """What the methods have to say about this run."""
        return tuple(note for method in self.methods for note in method.notes)


def _fitted(method: RuleSource, timeline: Timeline) -> RuleSource:
    """The method for this run. A run that is too short for its settings, or another one than a
    schedule was made for, computes: refusing would cost a picture that computing draws."""
    try:
        fitted = method.fitted(timeline)
        for rule in fitted.rules():
            Plan.of(rule.when, timeline)
    except ConfigError as error:
        # A name that is a property is none of a class, which is all that the checker minds.
        return cast(RuleSource, Idle(method, str(error)))
    return fitted


def _claimed(installation: Installation, methods: Sequence[RuleSource]) -> Mapping[Site, Rule]:
    if all(a is b for a, b in zip(methods, installation.methods, strict=True)):
        return installation.assigned
    rules = [rule for method in methods for rule in method.rules()]
    return assign(rules, installation.assigned)
