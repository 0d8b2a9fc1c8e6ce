"""All settings of methods inside the network that an advisor compares."""

from __future__ import annotations

from collections.abc import Iterator

from .calibration import Calibration
from .methods import METHODS, Method
from .rules import Rule
from .sites import SiteKind

_SPATIAL = frozenset({SiteKind.SELF_ATTENTION, SiteKind.JOINT_ATTENTION})


def settings_of(calibration: Calibration) -> Iterator[Method]:
    """Settings of all methods that act on what was measured."""
    proposed = (method for each in METHODS for method in each.proposals(calibration))
    return (method for method in proposed if is_known(method, calibration))


def is_known(method: Method, calibration: Calibration) -> bool:
    """Whether the errors are known of everything that the settings act on here."""
    known = set(calibration.kinds)
    active = [rule for rule in method.rules() if not rule.when.never_reuses]
    kinds = {rule.where.kind for rule in active} & _kinds_of_model(calibration)
    return bool(kinds) and kinds <= known and _is_complete(active, kinds)


def _kinds_of_model(calibration: Calibration) -> set[SiteKind]:
    return {kind for kind, count in calibration.model.layers.items() if count}


def _is_complete(rules: list[Rule], kinds: set[SiteKind]) -> bool:
    """Whether the model has what the settings insist on; spatial attention is of one sort or the
    other."""
    has = kinds | (_SPATIAL if kinds & _SPATIAL else set[SiteKind]())
    return all(rule.where.kind in has for rule in rules if rule.is_required)
