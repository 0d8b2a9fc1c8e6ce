"""All settings of methods inside the network that an advisor compares."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from .approximators import Constant
from .calibration import Calibration, Place
from .calibration.groups import branch_of
from .methods import PAB, DeepCache, FasterCache, Method, TGate
from .rules import Rule
from .schedules import PercentRange
from .sites import SiteKind

WINDOWS = tuple(
    PercentRange(start, end) for start, end in product((0.0, 0.1, 0.2, 0.3), (0.9, 1.0))
)
_SPATIAL = frozenset({SiteKind.SELF_ATTENTION, SiteKind.JOINT_ATTENTION})


def settings_of(calibration: Calibration) -> Iterator[Method]:
    """Settings of methods that act on what was measured, but for SmoothCache, whose schedules
    follow from what is wished for."""
    known = set(calibration.kinds)
    methods = (
        *_pab(known),
        *_deepcache(calibration),
        *_fastercache(known),
        *_tgate(known, calibration.table.steps),
    )
    return (method for method in methods if is_known(method, calibration))


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


def _pab(known: set[SiteKind]) -> Iterator[Method]:
    others = (2, 3, 4, 6, 8) if SiteKind.CROSS_ATTENTION in known else (1,)
    over_time = (2, 4) if SiteKind.TEMPORAL_ATTENTION in known else (1,)
    for own, time, cross, window in product((1, 2, 3, 4), over_time, others, WINDOWS):
        yield PAB(own, time, cross, window)
    for block, window in product((2, 3, 4, 5), WINDOWS):
        yield PAB(block=block, window=window)


def _deepcache(calibration: Calibration) -> Iterator[Method]:
    """Only branches whose influence on the picture was measured."""
    rows = calibration.table.rows
    found = (branch_of(group) for group in calibration.influence)
    branches = [b for b in found if b is not None and Place(SiteKind.DEEP_BRANCH, b) in rows]
    for branch, interval in product(branches, range(2, 9)):
        yield DeepCache(interval, branch)


def _fastercache(known: set[SiteKind]) -> Iterator[Method]:
    if SiteKind.GUIDANCE not in known:
        return
    weights = tuple(Constant(value) for value in (0.0, 0.25, 0.5, 0.75, 1.0))
    for start, interval in product((0.15, 0.25, 1 / 3, 0.5), (2, 3, 4, 5, 8)):
        window = PercentRange(start, 1.0)
        for attention in (1, 2, 3):
            for weight in weights if attention > 1 else weights[:1]:
                yield FasterCache(
                    attention, attention, 1,
                    attention_window=window, weight=weight,
                    guidance_interval=interval, guidance_window=window,
                )  # fmt: skip


def _tgate(known: set[SiteKind], steps: int) -> Iterator[Method]:
    if SiteKind.CROSS_ATTENTION not in known:
        return
    for share, interval in product((0.4, 0.5, 0.6, 0.7, 0.8), (1, 2, 3, 5)):
        gate = round(share * steps)
        if gate > 2:
            yield TGate(gate, 2, interval)
