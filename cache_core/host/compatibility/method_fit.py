"""Whether a method fits a family of models, and in words why it does not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from ...calibration import ModelFacts
from ...errors import ConfigError, UnsupportedModelError
from ...rules import Rule
from ...sites import SiteKind
from ..families import Family
from ..installation import RuleSource

_ATTENTION = frozenset({
    SiteKind.SELF_ATTENTION, SiteKind.JOINT_ATTENTION, SiteKind.CROSS_ATTENTION,
    SiteKind.TEMPORAL_ATTENTION,
})  # fmt: skip

_SPATIAL = frozenset({SiteKind.SELF_ATTENTION, SiteKind.JOINT_ATTENTION})


def check(
    method: RuleSource, family: Family, network: str, counts: Mapping[SiteKind, int]
) -> tuple[str, ...]:
    """Refuse what cannot work.

    Args:
        method: what is to be attached.
        family: the model's family.
        network: name of the network's class.
        counts: how many sites of each kind the network has.

    Returns:
        Notes on what will be inactive.

    Raises:
        UnsupportedModelError: the model has no place where the method could act.
        ConfigError: a parameter does not fit this model.
    """
    rules = method.rules()
    notes: list[str] = []
    # One setting may be for several kinds, such as T-GATE's interval of self- and temporal
    # attention: it has an effect if the model has one of them.
    acting: dict[tuple[object, object], set[SiteKind]] = defaultdict(set)
    for rule in rules:
        if counts.get(rule.where.kind):
            acting[rule.when, rule.what].add(rule.where.kind)
    for rule in rules:
        kind, count = rule.where.kind, counts.get(rule.where.kind, 0)
        others = acting[rule.when, rule.what]
        # One setting is for spatial attention, which stands alone or is joined with the prompt.
        is_elsewhere = kind in _SPATIAL and not count and not others.isdisjoint(_SPATIAL)
        if not count and rule.is_required and not is_elsewhere:
            raise UnsupportedModelError(_has_no(rule, family, network, counts))
        beyond = [index for index in rule.where.indices or () if index >= count]
        if beyond and rule.is_required and not is_elsewhere:
            raise ConfigError(_index_beyond(rule, max(beyond), count))
        if not count and not rule.when.never_reuses and not others:
            notes.append(f"{method.name}: this model has no {kind}; that range has no effect")
    kinds = {kind for group in acting.values() for kind in group}
    # A calibration is about layers; what guidance adds is measured beside them.
    if not kinds or (method.study is not None and kinds == {SiteKind.GUIDANCE}):
        reasons = [(family.lacks or {}).get(rule.where.kind) for rule in rules]
        reason = next(filter(None, reasons), "it has none of the layers that this method reuses")
        raise UnsupportedModelError(
            f"{method.name}: the model is {family.name} ({network}): {reason}"
        )
    return tuple(notes)


def check_calibration(method: RuleSource, facts: ModelFacts) -> None:
    """Refuse what was measured on another model.

    Raises:
        UnsupportedModelError: it was; the message says what differs.
    """
    wanted = method.made_for
    if wanted is None or wanted.fingerprint == facts.fingerprint:
        return
    raise UnsupportedModelError(
        f"{method.name}: the calibration is of a {_in_words(wanted)}; the model is a "
        f"{_in_words(facts)}. Their layers differ, so the errors of one mean nothing on the other: "
        f"choose a calibration of this model, or make one with SmoothCache Calibrate"
    )


def _in_words(facts: ModelFacts) -> str:
    layers = ", ".join(f"{count} {kind}" for kind, count in facts.layers.items())
    return f"{facts.family} ({facts.network}: {layers}; {facts.fingerprint[:8]})"


def _has_no(rule: Rule, family: Family, network: str, counts: Mapping[SiteKind, int]) -> str:
    kind = rule.where.kind
    special = (family.lacks or {}).get(kind)
    if special is not None:
        return f"{rule.owner}: the model is {family.name} ({network}): {special}"
    if kind is SiteKind.DEEP_BRANCH:
        lack = "which has no skip connections to cut; expected a UNet such as SD1.5 or SDXL"
    elif kind is SiteKind.CROSS_ATTENTION and counts.get(SiteKind.JOINT_ATTENTION):
        lack = (
            "whose attention is over prompt and picture at once, so the prompt's part of it is no "
            "layer of its own"
        )
    else:
        such = " (SVD)" if kind is SiteKind.TEMPORAL_ATTENTION else ""
        lack = f"which has no separate {kind}; expected a model with such layers{such}"
    remedy = rule.remedy or _alternative(counts)
    return f"{rule.owner}: the model is {family.name} ({network}), {lack}. {remedy}"


def _alternative(counts: Mapping[SiteKind, int]) -> str:
    if any(counts.get(kind) for kind in _ATTENTION):
        return "Use Apply PAB or Apply FasterCache on this model"
    if counts.get(SiteKind.GUIDANCE):
        return "Use Apply FasterCache on this model"
    return "Step Cache works on every model"


def _index_beyond(rule: Rule, index: int, count: int) -> str:
    kind = rule.where.kind
    if kind is SiteKind.DEEP_BRANCH:
        return (
            f"{rule.owner}: branch {index} does not exist in this model; it has {count} input "
            f"blocks, so the branch is 0 … {count - 1} (0 skips the most)"
        )
    return (
        f"{rule.owner}: {kind} {index} does not exist in this model, which has {count} such "
        f"layers, 0 … {count - 1}; the settings are for another model. {rule.remedy}"
    )
