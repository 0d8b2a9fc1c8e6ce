"""Model families as data. Adding one: a file, a line in FAMILIES, a toy configuration."""

from __future__ import annotations

from torch import nn

from .family import Family
from .flux import FLUX
from .sd3 import SD3
from .unet import UNET
from .wan import CAUSAL_WAN, WAN

FAMILIES: tuple[Family, ...] = (UNET, CAUSAL_WAN, WAN, FLUX, SD3)
"""Every known family; the first that recognises a model is taken."""


def family_of(diffusion_model: nn.Module) -> Family | None:
    """The family of a network, recognised by its class, or None."""
    return next((family for family in FAMILIES if family.recognises(diffusion_model)), None)


__all__ = ["FAMILIES", "Family", "family_of"]
