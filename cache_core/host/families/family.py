"""What a model family is: a name, classes, and a table of paths, kinds and ways in."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import nn

from ...sites import Site, SiteKind
from .access import Access, ModuleForward


@dataclass(frozen=True, slots=True)
class Layer:
    """One line of a family's table.

    Args:
        path: regular expression for the whole module path below the diffusion model.
        kind: what is computed there.
        access: how its value is reached; values are layer outputs before gate and residual.
    """

    path: str
    kind: SiteKind
    access: Access = field(default=ModuleForward())


@dataclass(frozen=True, slots=True)
class CacheFill:
    """Calls by which a network fills a cache of its own: everything within them is computed.

    Args:
        path: regular expression for the whole paths of the modules that are called so.
        is_one: whether a call with these arguments is one.
    """

    path: str
    is_one: Callable[..., bool]

    def modules(self, diffusion_model: nn.Module) -> tuple[nn.Module, ...]:
        """The modules of a network that are called so."""
        named = diffusion_model.named_modules()
        return tuple(module for path, module in named if re.fullmatch(self.path, path))


def _always(_: nn.Module) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Family:
    """Where the sites of one kind of network are.

    Args:
        name: what people call it.
        models: what is published of it, for the table of supported models.
        model_classes: qualified names of the host's classes; subclasses are recognised too.
        layers: the table. One module may stand in several lines, with different kinds.
        repeated: paths of modules in repeated blocks that hold no layer of the table.
        has_guidance: whether two branches of classifier-free guidance may be told apart in it.
        has_deep_branch: whether it is a UNet with input_blocks, middle_block and output_blocks.
        takes_one_branch: whether a network of this host can be asked for one branch alone.
        swaps_halves: whether it exchanges the halves of its batch on the way in, and back on the
            way out.
        needs_proof: whether the table was found by looking at the network's structure, so that it
            counts only once the first step has shown it to be right.
        cache_fill: calls by which it fills a cache of its own; None if it has none.
        lacks: why a kind that people would look for is not offered, and what to do instead.
    """

    name: str
    model_classes: tuple[str, ...]
    models: str = ""
    layers: tuple[Layer, ...] = ()
    repeated: tuple[str, ...] = ()
    has_deep_branch: bool = False
    has_guidance: bool = True
    takes_one_branch: Callable[[nn.Module], bool] = _always
    swaps_halves: bool = False
    needs_proof: bool = False
    cache_fill: CacheFill | None = None
    lacks: Mapping[SiteKind, str] | None = None

    @property
    def kinds(self) -> frozenset[SiteKind]:
        """Every kind that a network of this family may have."""
        others = {SiteKind.GUIDANCE: self.has_guidance, SiteKind.DEEP_BRANCH: self.has_deep_branch}
        return frozenset(layer.kind for layer in self.layers) | {k for k, v in others.items() if v}

    def recognises(self, diffusion_model: nn.Module) -> bool:
        """Whether the network is of this family."""
        classes = type(diffusion_model).__mro__
        names = {f"{cls.__module__}.{cls.__qualname__}" for cls in classes}
        return not names.isdisjoint(self.model_classes)

    def sites(self, diffusion_model: nn.Module) -> dict[Site, Access | None]:
        """Every site of a network in the order of its modules, and the way in; None for a site
        that is no layer."""
        sites: dict[Site, Access | None] = {}
        count = Counter[SiteKind]()
        for path, _ in diffusion_model.named_modules():
            for layer in self.layers:
                if re.fullmatch(layer.path, path):
                    sites[Site(layer.kind, count[layer.kind], path)] = layer.access
                    count[layer.kind] += 1
        if self.has_guidance and self.takes_one_branch(diffusion_model):
            sites[Site(SiteKind.GUIDANCE, 0)] = None
        if self.has_deep_branch:
            for index in range(branch_count(diffusion_model)):
                sites[Site(SiteKind.DEEP_BRANCH, index)] = None
        return sites


def branch_count(unet: nn.Module) -> int:
    """Number of DeepCache branches: one per input block."""
    return len(tuple(unet.get_submodule("input_blocks").children()))
