"""The modules of a network that repeat: its blocks, or the layers in them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from torch import nn

from ...sites import Site, SiteKind
from ..families import Access, Family, InlinedLayer, ModuleForward

_NUMBERED = re.compile(r"(?:.*\.)?\d+(?=\.|$)")
"""A path up to its last number, which is that of a block in its row."""


def repeated_modules(
    family: Family, network: nn.Module, claimed: Mapping[Site, Access], is_open: bool
) -> dict[str, nn.Module]:
    """Modules whose inside stays the same from call to call, by path; none inside of another.

    That is a block as a whole, or else the layers of it that are modules of their own: where a
    method answers for a part of it, or where other nodes' patches are called between its layers.

    Args:
        family: that of the network.
        claimed: sites that methods answer for, and the ways in.
        is_open: whether no block that has such layers is to be taken as a whole.
    """
    sites = family.sites(network)
    blocks = [site.path for site in sites if site.kind is SiteKind.BLOCK]
    rows: dict[str, list[str]] = {}
    for site, access in sites.items():
        if site.path:
            layers = rows.setdefault(_block_of(site.path, blocks), [])
            if isinstance(access, ModuleForward):
                layers.append(site.path)
    for path, _ in network.named_modules():
        if any(re.fullmatch(pattern, path) for pattern in family.repeated):
            rows.setdefault(_block_of(path, blocks), [])
    opened = {
        block
        for site, access in claimed.items()
        if (block := _block_of(site.path, blocks)) != site.path or isinstance(access, InlinedLayer)
    }
    paths: list[str] = []
    for block, layers in rows.items():
        paths += layers if block in opened or (is_open and layers) else [block]
    return {path: network.get_submodule(path) for path in _outermost(paths)}


def _block_of(path: str, blocks: Iterable[str]) -> str:
    """The repeated block that holds a module, or is it."""
    for block in blocks:
        if path == block or path.startswith(f"{block}."):
            return block
    found = _NUMBERED.match(path)
    return found.group() if found else path


def _outermost(paths: Iterable[str]) -> list[str]:
    found = dict.fromkeys(paths)
    return [path for path in found if not any(path.startswith(f"{each}.") for each in found)]
