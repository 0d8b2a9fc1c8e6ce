"""Attach a method to a clone of a model, or refuse in words; and take everything off again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from comfy.patcher_extension import CallbacksMP, WrappersMP
from torch import nn

from ..errors import RuleConflictError, UnsupportedModelError
from ..rules import Rule, assign
from ..sites import Site
from . import wrappers
from .compatibility.injected import ejected
from .compatibility.model_info import ModelInfo
from .families import Access, SdpaOnly
from .installation import KEY, Installation, Listener, RuleSource, installation_of

FUSED = (
    "single-stream blocks fuse the projections of attention with their feed-forward: there only "
    "scaled dot-product attention is saved. Whole blocks save more: block on Apply PAB, or a "
    "schedule of whole blocks on SmoothCache Schedule"
)

WRAPPERS = {
    WrappersMP.OUTER_SAMPLE: wrappers.outer_sample,
    WrappersMP.PREDICT_NOISE: wrappers.predict_noise,
    WrappersMP.CALC_COND_BATCH: wrappers.calc_cond_batch,
    WrappersMP.APPLY_MODEL: wrappers.apply_model,
}


def attach(model: Any, method: RuleSource, listener: Listener | None = None) -> Any:
    """A clone of the model that samples with the method.

    Args:
        model: the host's ``ModelPatcher``; it is not changed.
        method: the method, named like its node.
        listener: is told about runs of the clone.

    Returns:
        The patched clone.

    Raises:
        UnsupportedModelError: the model has no place where the method could act.
        RuleConflictError: another attached method claims the same site, or this one is attached
            already.
        ConfigError: a parameter does not fit this model.
    """
    network = network_of(model, method.name)
    previous = installation_of(model)
    methods = (*(previous.methods if previous else ()), method)
    if method.study is not None or (previous is not None and previous.study is not None):
        _refuse_company(method, previous)
    if previous and any(other.name == method.name for other in previous.methods):
        raise RuleConflictError(
            f"{method.name}: this model already carries a {method.name} node. Two of them would "
            f"claim the same layers: remove one, or take the model from before the first"
        )
    with ejected(model):
        model_info = ModelInfo.of(network)
    family, notes = model_info.accept(method)
    sites = model_info.sites
    rules: Sequence[Rule] = [rule for each in methods for rule in each.rules()]
    assigned = assign(rules, sites)
    access = {site: way for site in assigned if (way := sites[site]) is not None}
    earlier = previous.notes if previous else ()
    installation = Installation(
        methods=methods,
        assigned=assigned,
        access=access,
        family=f"{family.name} ({type(model.model).__name__})",
        facts=model_info.facts,
        notes=tuple(dict.fromkeys((*earlier, *notes, *_on_fused_layers(assigned, access)))),
        swaps_halves=family.swaps_halves,
        needs_proof=family.needs_proof,
        cache_fill=family.cache_fill,
        listeners=(*(previous.listeners if previous else ()), *([listener] if listener else ())),
    )
    clone = model.clone()
    # The clone's options are copies of their own, two levels deep; the parent keeps its own.
    clone.model_options["transformer_options"][KEY] = installation
    if previous is None:
        for place, wrapper in WRAPPERS.items():
            clone.add_wrapper_with_key(place, KEY, wrapper)
        clone.add_callback_with_key(CallbacksMP.ON_PRE_RUN, KEY, wrappers.pre_run)
    return clone


def detached(model: Any) -> Any:
    """A clone of the model without anything of this pack.

    Args:
        model: the host's ``ModelPatcher``; it is not changed.
    """
    clone = model.clone()
    clone.model_options["transformer_options"].pop(KEY, None)
    for place in WRAPPERS:
        clone.remove_wrappers_with_key(place, KEY)
    clone.remove_callbacks_with_key(CallbacksMP.ON_PRE_RUN, KEY)
    return clone


def _refuse_company(method: RuleSource, previous: Installation | None) -> None:
    """A calibration is about the plain model.

    Raises:
        RuleConflictError: something else is attached too.
    """
    if previous is not None:
        names = " and ".join((*(other.name for other in previous.methods), method.name))
        raise RuleConflictError(
            f"{names} are attached to one model. What is measured would be the errors of a model "
            f"that reuses: take the model for SmoothCache Calibrate from before any other Step "
            f"Cache node, and put none behind it"
        )


def _on_fused_layers(assigned: Mapping[Site, Rule], access: Mapping[Site, Access]) -> Iterator[str]:
    """Say what is saved where attention cannot be left out as a whole."""
    for site, rule in assigned.items():
        if isinstance(access.get(site), SdpaOnly) and not rule.when.never_reuses:
            yield FUSED


def network_of(model: Any, node: str) -> nn.Module:
    """The diffusion network in a host's patcher.

    Args:
        model: what should be the host's ``ModelPatcher``.
        node: the node that asks.

    Raises:
        UnsupportedModelError: there is none.
    """
    network = getattr(getattr(model, "model", None), "diffusion_model", None)
    if isinstance(network, nn.Module) and hasattr(model, "model_options"):
        return network
    raise UnsupportedModelError(
        f"{node}: the input is a {type(model).__name__}, which holds no diffusion network; "
        f"expected the MODEL output of a checkpoint or diffusion model loader. Connect that one"
    )
