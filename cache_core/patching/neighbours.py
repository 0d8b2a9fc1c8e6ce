"""What other nodes attach that cannot work beside some of our sites: refused before sampling."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import ConfigError
from ..rules import Rule
from ..sites import Site, SiteKind

Options = Mapping[str, Any]
"""``transformer_options`` of a model."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Another node's patch that a kind of site would break.

    Args:
        name: what people call it.
        kind: the site that it cannot stand beside.
        reason: what would happen, and what to do; goes on from "the model also carries …".
        is_present: whether the options hold it.
        clashes: whether a rule breaks it; by default every one that may reuse.
    """

    name: str
    kind: SiteKind
    reason: str
    is_present: Callable[[Options], bool]
    clashes: Callable[[Rule], bool] = lambda rule: True


def _patches(options: Options, name: str) -> Iterable[Any]:
    return options.get("patches", {}).get(name, ())


def _has_easycache(options: Options) -> bool:
    return getattr(options.get("easycache"), "name", "") == "EasyCache"


def _has_nag(options: Options) -> bool:
    patches = _patches(options, "attn1_output_patch")
    return any(getattr(p, "__qualname__", "").startswith("NAGuidance.") for p in patches)


def _has_reference_cache(options: Options) -> bool:
    return any(type(p).__name__ == "KV_Attn_Input" for p in _patches(options, "attn1_patch"))


def _has_supir(options: Options) -> bool:
    patches = _patches(options, "middle_block_after_patch")
    return any(type(getattr(p, "__self__", None)).__name__ == "SUPIRPatch" for p in patches)


NEIGHBOURS = (
    # It answers for the network branch by branch from what each said last.
    Neighbour(
        "EasyCache",
        SiteKind.GUIDANCE,
        "which would mix branches of different steps into the difference that this node keeps. "
        "Remove EasyCache, or set guidance_interval to 1",
        _has_easycache,
        lambda rule: rule.what.needs > 0,
    ),
    # It mixes both branches inside attention, and does nothing in a call that holds one of them.
    Neighbour(
        "NAGuidance",
        SiteKind.GUIDANCE,
        "which needs both branches in every step, and this node leaves one out. Remove "
        "NAGuidance, or use Apply PAB or Apply FasterCache with guidance_interval 1 beside it",
        _has_nag,
    ),
    # It keeps keys and values of both branches in one batch, and cuts it to the rows of a call.
    Neighbour(
        "FluxKVCache",
        SiteKind.GUIDANCE,
        "which keeps the references of both branches in one batch, and this node leaves one out. "
        "Remove FluxKVCache, or use Apply PAB or Apply FasterCache with guidance_interval 1 "
        "beside it",
        _has_reference_cache,
    ),
    # It counts its adapters from the middle block on, which a step without deep branch leaves out.
    Neighbour(
        "SUPIR",
        SiteKind.DEEP_BRANCH,
        "which follows the network block by block and would lose its place where this node leaves "
        "blocks out. Use Apply PAB beside SUPIR",
        _has_supir,
    ),
)


def refuse_neighbours(assigned: Mapping[Site, Rule], options: Options) -> None:
    """Refuse what cannot work beside us.

    Args:
        assigned: the rule of every site of the run.
        options: those of the model that is about to sample.

    Raises:
        ConfigError: another node's patch and one of our rules break each other.
    """
    present = [neighbour for neighbour in NEIGHBOURS if neighbour.is_present(options)]
    for site, rule in assigned.items() if present else ():
        for neighbour in present:
            is_met = site.kind is neighbour.kind and neighbour.clashes(rule)
            if is_met and not rule.when.never_reuses:
                raise ConfigError(
                    f"{rule.owner}: the model also carries {neighbour.name}, {neighbour.reason}"
                )
