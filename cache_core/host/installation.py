"""What a patched clone carries in its options: immutable settings and a place for reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from ..calibration import Calibration, ModelFacts, Prediction, Study
from ..clock import Timeline
from ..report import Report
from ..rules import Rule
from ..sites import Site
from .families import Access, CacheFill
from .not_copied import NotCopied

KEY = "stepcache"
"""Under this key stand our wrappers, and in ``transformer_options`` the installation."""


Listener = Callable[[Report], None]
"""Is told about a run: when it begins, at every step, and when it is over."""


class RuleSource(Protocol):
    """What the host room needs of a method: this room knows rules, not methods."""

    name: ClassVar[str]

    @property
    def study(self) -> Study | None: ...

    @property
    def made_for(self) -> ModelFacts | None: ...

    @property
    def notes(self) -> tuple[str, ...]: ...

    @property
    def prediction(self) -> Prediction | None: ...

    def fitted(self, timeline: Timeline) -> RuleSource: ...

    def rules(self) -> tuple[Rule, ...]: ...

    def describe(self) -> str: ...


@dataclass(slots=True)
class Mailbox(NotCopied):
    """Holds what the last run left, so that a node can read it after sampling."""

    report: Report | None = None
    calibration: Calibration | None = None

    def __reduce__(self) -> Any:
        # A model that is pickled has not been sampled where it is loaded.
        return Mailbox, ()


@dataclass(frozen=True, slots=True)
class Installation(NotCopied):
    """Everything attached to one clone. Never edited: attaching once more makes a new one.

    A plain object without ``.to``: the host calls ``.to`` on what has one and copies dicts and
    lists for every model call, but hands plain objects on by reference.

    Args:
        methods: the attached methods in the order of their nodes.
        assigned: the rule of every claimed site.
        access: the way in to every claimed site that is a layer.
        family: name of the model family.
        facts: the architecture of the model.
        notes: remarks for the report.
        swaps_halves: as for `Family`.
        needs_proof: as for `Family`.
        cache_fill: as for `Family`.
        listeners: who is told about runs.
        mailbox: where finished runs leave their report; shared by all clones of the clone.
    """

    methods: tuple[RuleSource, ...]
    assigned: Mapping[Site, Rule]
    access: Mapping[Site, Access]
    family: str
    facts: ModelFacts
    notes: tuple[str, ...]
    swaps_halves: bool
    needs_proof: bool
    cache_fill: CacheFill | None
    listeners: tuple[Listener, ...]
    mailbox: Mailbox = field(default_factory=Mailbox)

    @property
    def study(self) -> Study | None:
        """What is asked of a calibrating run; None where runs reuse."""
        return next((method.study for method in self.methods if method.study is not None), None)


def installation_of(model: Any) -> Installation | None:
    """The installation of a host ``ModelPatcher``, or None if nothing is attached."""
    return model.model_options.get("transformer_options", {}).get(KEY)


def attached(model: Any) -> tuple[RuleSource, ...]:
    """The methods that are attached to a host ``ModelPatcher``, in the order of their nodes."""
    installation = installation_of(model)
    return installation.methods if installation is not None else ()


def last_report(model: Any) -> Report | None:
    """The report of the last run of this model, or None if it has not run.

    Raises:
        LookupError: nothing of this pack is attached to the model.
    """
    installation = installation_of(model)
    if installation is None:
        raise LookupError("no Step Cache node is attached to this model")
    return installation.mailbox.report


def last_calibration(model: Any) -> Calibration | None:
    """What the last calibrating run of this model left, or None if it left nothing.

    Raises:
        LookupError: SmoothCache Calibrate is not attached to the model.
    """
    installation = installation_of(model)
    if installation is None or installation.study is None:
        raise LookupError("SmoothCache Calibrate is not attached to this model")
    return installation.mailbox.calibration
