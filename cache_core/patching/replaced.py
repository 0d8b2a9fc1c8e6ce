"""Attention under another node's patch: IP-Adapter and its kind take over a UNet's attention."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..session import Decision, Session
from ..sites import Site
from ..streams import StreamKey
from .model_call import ModelCall

PARTLY_REPLACED = "another node's attention patch covers this layer together with a computing one"

_UNET_BLOCK = re.compile(
    r"(input|middle|output)_blocks?\.(\d+)\.(?:\d+\.)?transformer_blocks\.(\d+)\.(attn[12])"
)


def settle_replaced(
    call: ModelCall, session: Session, streams: Sequence[StreamKey], sites: Iterable[Site]
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
    for site in sites if tables.get("attn1") or tables.get("attn2") else ():
        entry = _entry_of(site, tables)
        if entry is not None:
            groups[entry].append(site)
    recorded: dict[Site, Decision] = {}
    kept = {name: dict(table) for name, table in tables.items()}
    for (name, key), members in groups.items():
        decisions = {site: session.decide(site, streams) for site in members}
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
