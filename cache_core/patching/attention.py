"""Attention modules with a forward of their own: the whole output is reused."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from ..session import Decision, Session
from ..sites import Site
from ..streams import StreamKey
from .model_call import ModelCall
from .module_swap import Dispatchers, Swap

PARTLY_REPLACED = "another node's attention patch covers this layer together with a computing one"

_UNET_BLOCK = re.compile(
    r"(input|middle|output)_blocks?\.(\d+)\.(?:\d+\.)?transformer_blocks\.(\d+)\.(attn[12])"
)


def swap_attention(
    swap: Swap,
    call: ModelCall,
    session: Session,
    streams: Sequence[StreamKey],
    modules: Mapping[Site, nn.Module],
    dispatchers: Dispatchers,
) -> None:
    """Let the session answer for attention modules during one call."""
    recorded = _resolve_replacements(call, session, streams, modules)
    for site, module in modules.items():
        decision = recorded.get(site)
        # A replaced attention never calls the module's forward, only its projections; its output
        # leaves through to_out in either case.
        target = module if decision is None else module.get_submodule("to_out")
        dispatcher = dispatchers.of(target)
        dispatcher.bind(session, site, streams, target.forward, decision)
        swap.callback(dispatcher.release)
        swap.set(target.__dict__, "forward", dispatcher.forward)


def _resolve_replacements(
    call: ModelCall,
    session: Session,
    streams: Sequence[StreamKey],
    modules: Mapping[Site, nn.Module],
) -> dict[Site, Decision]:
    """Settle the sites under ``patches_replace`` entries (IP-Adapter and its kind) beforehand.

    The host's UNet blocks hand a replaced attention to the patch and pass the module's forward
    by. Where all sites of an entry reuse, the entry is taken out of this call, so that the
    forwards answer; elsewhere the entry stays and its sites are recorded.

    Returns:
        The decisions of the sites whose entry stays.
    """
    tables: dict[str, dict[Any, Any]] = call.options.get("patches_replace", {})
    groups: dict[tuple[str, Any], list[Site]] = defaultdict(list)
    for site in modules if tables.get("attn1") or tables.get("attn2") else ():
        entry = _entry_of(site, tables)
        if entry is not None:
            groups[entry].append(site)
    recorded: dict[Site, Decision] = {}
    kept = {name: dict(table) for name, table in tables.items()}
    for (name, key), sites in groups.items():
        decisions = {site: session.decide(site, streams) for site in sites}
        if all(decision.reuse for decision in decisions.values()):
            del kept[name][key]
            continue
        for site, decision in decisions.items():
            partly = Decision(reuse=False, forced=PARTLY_REPLACED)
            recorded[site] = partly if decision.reuse else decision
    if groups:
        call.options = {**call.options, "patches_replace": kept}
    return recorded


def _entry_of(site: Site, tables: Mapping[str, Mapping[Any, Any]]) -> tuple[str, Any] | None:
    """The replacement entry that the host would use for a UNet attention, if any."""
    match = _UNET_BLOCK.fullmatch(site.path)
    if match is None:
        return None
    place, number, index, name = match.groups()
    block = (place, 0 if place == "middle" else int(number))
    for key in ((*block, int(index)), block):
        if key in tables.get(name, {}):
            return name, key
    return None
