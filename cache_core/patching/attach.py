"""Attach a method to a clone of a model, or refuse in words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from comfy.patcher_extension import WrappersMP
from torch import nn

from ..errors import ConfigError, RuleConflictError, UnsupportedModelError
from ..rules import Rule, assign
from ..sites import Site, SiteKind
from . import wrappers
from .families import FAMILIES, Family, family_of
from .installation import KEY, Installation, RuleSource, installation_of

_ATTENTION = frozenset({
    SiteKind.SELF_ATTENTION, SiteKind.JOINT_ATTENTION, SiteKind.CROSS_ATTENTION,
    SiteKind.TEMPORAL_ATTENTION,
})  # fmt: skip


def attach(model: Any, method: RuleSource) -> Any:
    """A clone of the model that samples with the method.

    Args:
        model: the host's ``ModelPatcher``; it is not changed.
        method: the method, named like its node.

    Returns:
        The patched clone.

    Raises:
        UnsupportedModelError: the model has no place where the method could act.
        RuleConflictError: another attached method claims the same site, or this one is attached
            already.
        ConfigError: a parameter does not fit this model.
    """
    previous = installation_of(model)
    methods = (*(previous.methods if previous else ()), method)
    if previous and any(type(other) is type(method) for other in previous.methods):
        raise RuleConflictError(
            f"{method.name}: this model already carries a {method.name} node. Two of them would "
            f"claim the same layers: remove one, or take the model from before the first"
        )
    network = model.model.diffusion_model
    family = family_of(network)
    if family is None:
        known = ", ".join(f.name for f in FAMILIES)
        raise UnsupportedModelError(
            f"{method.name}: the model is a {type(network).__name__}, which is none of the known "
            f"families ({known}). Connect the model past this node; it would not be changed"
        )
    sites = family.sites(network)
    notes = _check(method, family, network, list(sites))
    rules: Sequence[Rule] = [rule for each in methods for rule in each.rules()]
    assigned = assign(rules, sites)
    installation = Installation(
        methods=methods,
        assigned=assigned,
        access={site: access for site in assigned if (access := sites[site]) is not None},
        family=f"{family.name} ({type(model.model).__name__})",
        notes=((*previous.notes, *notes) if previous else notes),
        swaps_halves=family.swaps_halves,
    )
    clone = model.clone()
    # The clone's options are copies of their own, two levels deep; the parent keeps its own.
    clone.model_options["transformer_options"][KEY] = installation
    if previous is None:
        clone.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, KEY, wrappers.outer_sample)
        clone.add_wrapper_with_key(WrappersMP.PREDICT_NOISE, KEY, wrappers.predict_noise)
        clone.add_wrapper_with_key(WrappersMP.CALC_COND_BATCH, KEY, wrappers.calc_cond_batch)
        clone.add_wrapper_with_key(WrappersMP.APPLY_MODEL, KEY, wrappers.apply_model)
    return clone


def _check(
    method: RuleSource, family: Family, network: nn.Module, sites: Sequence[Site]
) -> tuple[str, ...]:
    """Refuse what cannot work; return notes on what will be inactive."""
    notes: list[str] = []
    claimed: set[SiteKind] = set()
    present = {site.kind for site in sites}
    # One setting may be for several kinds, such as T-GATE's interval of self- and temporal
    # attention: it has an effect if the model has one of them.
    acting: dict[tuple[object, object], set[SiteKind]] = defaultdict(set)
    for rule in method.rules():
        if rule.where.kind in present:
            acting[rule.when, rule.what].add(rule.where.kind)
    for rule in method.rules():
        kind = rule.where.kind
        of_kind = [site for site in sites if site.kind is kind]
        missing = rule.where.indices and rule.where.indices - {site.index for site in of_kind}
        others = acting[rule.when, rule.what]
        # One range is for spatial attention, which is either by itself or joined with the prompt.
        is_joint = kind is SiteKind.SELF_ATTENTION and SiteKind.JOINT_ATTENTION in others
        if not of_kind and rule.is_required and not is_joint:
            raise UnsupportedModelError(_has_no(rule, family, network, present))
        if missing and rule.is_required:
            raise ConfigError(_index_beyond(rule, max(missing), len(of_kind)))
        if not of_kind and not rule.when.never_reuses and not others:
            notes.append(f"{method.name}: this model has no {kind}; that range has no effect")
        elif of_kind:
            claimed.add(kind)
    if not claimed:
        raise UnsupportedModelError(_has_nothing(method, family, network))
    return tuple(notes)


def _has_nothing(method: RuleSource, family: Family, network: nn.Module) -> str:
    reasons = [(family.lacks or {}).get(rule.where.kind) for rule in method.rules()]
    reason = next(filter(None, reasons), "it has none of the layers that this method reuses")
    return f"{method.name}: the model is {family.name} ({type(network).__name__}): {reason}"


def _has_no(rule: Rule, family: Family, network: nn.Module, present: AbstractSet[SiteKind]) -> str:
    kind = rule.where.kind
    model = f"{rule.owner}: the model is {family.name} ({type(network).__name__})"
    special = (family.lacks or {}).get(kind)
    if special is not None:
        return f"{model}: {special}"
    if kind is SiteKind.DEEP_BRANCH:
        lack = "which has no skip connections to cut; expected a UNet such as SD1.5 or SDXL"
    elif kind is SiteKind.CROSS_ATTENTION and SiteKind.JOINT_ATTENTION in present:
        lack = "whose attention is over prompt and picture at once, so the prompt's part of it "
        lack += "is no layer of its own"
    else:
        such = " (SVD)" if kind is SiteKind.TEMPORAL_ATTENTION else ""
        lack = f"which has no separate {kind}; expected a model with such layers{such}"
    return f"{model}, {lack}. {rule.remedy or _alternative(present)}"


def _alternative(present: AbstractSet[SiteKind]) -> str:
    if not present.isdisjoint(_ATTENTION):
        return "Use Apply PAB or Apply FasterCache on this model"
    if SiteKind.GUIDANCE in present:
        return "Use Apply FasterCache on this model"
    return "ComfyUI's LazyCache node works on every model"


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
