"""The modules behind the sites of a run, in every network that is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from torch import nn

from ..block_rows import BlockRow
from ..errors import UnsupportedModelError
from ..sites import Site, SiteKind
from .compatibility.exchanged import in_words, is_exchanged, pack_of
from .families import BlockResidual
from .installation import Installation
from .intercept.layers import Layers


@dataclass(frozen=True, slots=True)
class Bound:
    """What a run patches in one network.

    Args:
        network: kept, so that no other one gets its identity during the run.
        layers: modules and ways in, blocks last.
        deep_branches: sites without a module of their own.
        rows: blocks whose sum is stored.
        fills: modules by which the network fills a cache of its own.
    """

    network: nn.Module
    layers: Layers
    deep_branches: tuple[Site, ...]
    rows: tuple[BlockRow, ...]
    fills: tuple[nn.Module, ...]


class Networks:
    """Looks sites up, once for each network: several GPUs hold several.

    Args:
        sites: every site that a rule is about, and whether it has to be there.
        installation: with the ways in.
        own: the network that the nodes are attached to.
        rows: blocks of which what they add may be kept as one sum.
        note: takes a remark for the report.

    Raises:
        UnsupportedModelError: a site is not in it.
    """

    def __init__(
        self,
        sites: Mapping[Site, bool],
        installation: Installation,
        own: nn.Module,
        rows: Iterable[BlockRow],
        note: Callable[[str], None],
    ) -> None:
        self._sites, self._access = sites, installation.access
        self._fill = installation.cache_fill
        self._rows = tuple(row for row in rows if len(row) > 1)
        # Whether the ways in are those of a known family's own classes.
        self._is_known, self._note = not installation.needs_proof, note
        self._bound: dict[int, Bound] = {}
        self._own = id(own)
        self.has_met_another = False
        """Whether a network was asked that has other layers."""
        # Looked up to refuse before sampling, and not kept: nodes that exchange modules do so
        # when the model is loaded, which is later.
        self._look_up(own)

    def bound(self, network: nn.Module) -> Bound:
        """What to patch in a network; nothing in a guider's second one that has other layers.

        Raises:
            UnsupportedModelError: a site is not in the network that the nodes are attached to.
        """
        known = self._bound.get(id(network))
        if known is None:
            modules = self._look_up(network)
            # Blocks last: a block's answer stands around those of the layers woven into it.
            order = sorted(modules, key=lambda site: site.kind is SiteKind.BLOCK)
            order = [site for site in order if site in self._access]
            layers = {s: (modules[s], self._access[s]) for s in order if self._trusts(s, modules)}
            branches = tuple(site for site in modules if site.kind is SiteKind.DEEP_BRANCH)
            rows = tuple(row for row in self._rows if self._hands_on(network, row))
            fills = self._fill.modules(network) if self._fill is not None and layers else ()
            known = self._bound[id(network)] = Bound(network, layers, branches, rows, fills)
        return known

    def _hands_on(self, network: nn.Module, row: BlockRow) -> bool:
        """Whether the host hands hidden states on from block to block, and only adds to them."""
        access = self._access[row[0]]
        others = access.read_by if isinstance(access, BlockResidual) else ()
        return not any(hasattr(network, name) for name in others)

    def clear(self) -> None:
        """Forget the networks."""
        self._bound.clear()

    def _trusts(self, site: Site, modules: Mapping[Site, nn.Module]) -> bool:
        """Whether a layer may be answered for: what an exchanged class returns, nobody knows."""
        if not self._is_known or not is_exchanged(modules[site]):
            return True
        self._note(f"{site.kind} is computed in every step: {in_words(site.path, modules[site])}")
        return False

    def _look_up(self, network: nn.Module) -> dict[Site, nn.Module]:
        found: dict[Site, nn.Module] = {}
        for site, is_required in self._sites.items():
            try:
                found[site] = _module_at(network, site)
            except UnsupportedModelError:
                if id(network) != self._own:
                    self.has_met_another = True
                    return {}
                if is_required:
                    raise
        return found


def _module_at(network: nn.Module, site: Site) -> nn.Module:
    module: nn.Module = network
    names = site.path.split(".") if site.path else []
    for place, name in enumerate(names):
        child = getattr(module, name, None)
        if not isinstance(child, nn.Module):
            where = ".".join(names[:place]) or "the network"
            raise UnsupportedModelError(
                f"Step Cache: {site} is not in the model that is being sampled "
                f"({type(network).__name__}): {where} is a {type(module).__name__} of "
                f"{pack_of(type(module))}. If another node exchanged it after the Step Cache node, "
                f"move the Step Cache node behind that one; if it is behind already, that node "
                f"exchanges layers while the model runs, and one of the two has to be taken out"
            )
        module = child
    return module
