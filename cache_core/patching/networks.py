"""The modules behind the sites of a run, in every network that is asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import nn

from ..errors import UnsupportedModelError
from ..rows import Row
from ..sites import Site, SiteKind
from .families import Access, Added
from .layers import Layers


@dataclass(frozen=True, slots=True)
class Bound:
    """What a run patches in one network.

    Args:
        network: kept, so that no other one gets its identity during the run.
        layers: modules and ways in, blocks last.
        deep_branches: sites without a module of their own.
        rows: blocks whose sum is stored.
    """

    network: nn.Module
    layers: Layers
    deep_branches: tuple[Site, ...]
    rows: tuple[Row, ...]


class Networks:
    """Looks sites up, once for each network: several GPUs hold several.

    Args:
        sites: every site that a rule is about.
        access: the ways in.
        own: the network that the nodes are attached to.
        rows: blocks of which what they add may be kept as one sum.

    Raises:
        UnsupportedModelError: a site is not in it.
    """

    def __init__(
        self,
        sites: Iterable[Site],
        access: Mapping[Site, Access],
        own: nn.Module,
        rows: Iterable[Row],
    ) -> None:
        self._sites, self._access = tuple(sites), access
        self._rows = tuple(row for row in rows if len(row) > 1)
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
            layers = {s: (modules[s], self._access[s]) for s in order if s in self._access}
            branches = tuple(site for site in modules if site.kind is SiteKind.DEEP_BRANCH)
            rows = tuple(row for row in self._rows if self._hands_on(network, row))
            known = self._bound[id(network)] = Bound(network, layers, branches, rows)
        return known

    def _hands_on(self, network: nn.Module, row: Row) -> bool:
        """Whether the host hands the streams on from block to block, and only adds to them."""
        access = self._access[row[0]]
        others = access.read_by if isinstance(access, Added) else ()
        return not any(hasattr(network, name) for name in others)

    def clear(self) -> None:
        """Forget the networks."""
        self._bound.clear()

    def _look_up(self, network: nn.Module) -> dict[Site, nn.Module]:
        try:
            return {site: _module_at(network, site) for site in self._sites}
        except UnsupportedModelError:
            if id(network) == self._own:
                raise
            self.has_met_another = True
            return {}


def _module_at(network: nn.Module, site: Site) -> nn.Module:
    try:
        return network.get_submodule(site.path)
    except AttributeError as error:
        raise UnsupportedModelError(
            f"Step Cache: {site} is not in the model that is being sampled "
            f"({type(network).__name__}). The network was exchanged after the Step Cache "
            f"node: move the Step Cache node behind the node that exchanges it"
        ) from error
