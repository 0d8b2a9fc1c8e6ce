"""What a model family is: a name, a class, and a table of paths and kinds."""

from __future__ import annotations

import re
from dataclasses import dataclass

from torch import nn

from ...sites import Site, SiteKind


@dataclass(frozen=True, slots=True)
class Family:
    """Where the sites of one kind of network are.

    Args:
        name: what people call it.
        model_class: qualified name of the host's class; subclasses are recognised too.
        layers: pairs of a regular expression for the whole module path and the site kind. The
            named modules have a forward of their own that returns the layer's whole output,
            projections included, before gate and residual.
        has_guidance: whether it is sampled with two branches; False for models into which guidance
            is distilled.
        has_deep_branch: whether it is a UNet with input_blocks, middle_block and output_blocks.
        no_attention_because: why attention cannot be reused here, and what to do instead; None
            where it can.
    """

    name: str
    model_class: str
    layers: tuple[tuple[str, SiteKind], ...] = ()
    has_deep_branch: bool = False
    has_guidance: bool = True
    no_attention_because: str | None = None

    def recognises(self, diffusion_model: nn.Module) -> bool:
        """Whether the network is of this family."""
        classes = type(diffusion_model).__mro__
        return any(f"{cls.__module__}.{cls.__qualname__}" == self.model_class for cls in classes)

    def sites(self, diffusion_model: nn.Module) -> tuple[Site, ...]:
        """Every site of a network, in the order of its modules."""
        sites: list[Site] = []
        count = dict.fromkeys(SiteKind, 0)
        for path, _ in diffusion_model.named_modules():
            for pattern, kind in self.layers:
                if re.fullmatch(pattern, path):
                    sites.append(Site(kind, count[kind], path))
                    count[kind] += 1
        if self.has_guidance:
            sites.append(Site(SiteKind.GUIDANCE, 0))
        if self.has_deep_branch:
            sites += [
                Site(SiteKind.DEEP_BRANCH, index) for index in range(branch_count(diffusion_model))
            ]
        return tuple(sites)


def branch_count(unet: nn.Module) -> int:
    """Number of DeepCache branches: one per input block."""
    return len(unet.get_submodule("input_blocks"))  # type: ignore[arg-type]
