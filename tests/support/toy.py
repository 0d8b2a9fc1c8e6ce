"""What a tiny model is: the host's real class with random weights, and what it eats."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import comfy.model_patcher
import torch
from comfy.nested_tensor import NestedTensor
from stepcache.cache_core.sites import SiteKind

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Toy:
    """A tiny model of one family.

    Args:
        make: builds the patcher, weights included.
        latent: latent shape with batch 1.
        context: (tokens, width) of the text conditioning.
        pooled: width of the pooled conditioning, 0 without.
        extra: further conditioning entries, the same for both branches.
        family: name of the family that should recognise it.
        kinds: kinds of layers, and deep branches, that the family should find in it.
        lacks: what every other model has, and this one does not.
        options: arguments of every run, such as the guidance scale.
        also: shapes of what is sampled together with it, in a nested latent, such as sound.
        grows: axes of the latent that another size changes; otherwise the last two, or the last
            one where only one stands behind the channels.
        has_batches: whether the host samples more than one latent at once with it.
        negative: conditioning entries that the negative branch has instead of those in extra.
    """

    make: Callable[[], comfy.model_patcher.ModelPatcher]
    latent: tuple[int, ...]
    context: tuple[int, int]
    pooled: int = 0
    extra: tuple[tuple[str, Any], ...] = ()
    family: str = ""
    kinds: frozenset[SiteKind] = frozenset()
    lacks: frozenset[SiteKind] = frozenset()
    options: tuple[tuple[str, Any], ...] = ()
    also: tuple[tuple[int, ...], ...] = ()
    grows: tuple[int, ...] | None = None
    has_batches: bool = True
    negative: tuple[tuple[str, Any], ...] = ()

    @property
    def sites(self) -> frozenset[SiteKind]:
        """All kinds of sites; which methods accept it follows from them."""
        return (self.kinds | {SiteKind.GUIDANCE, SiteKind.EVALUATION}) - self.lacks

    def empty(self, batch: int = 1, size: int | None = None) -> Any:
        """The empty latent of a run, nested where the model samples several things at once."""
        shape = list(self.latent)
        if size is not None:
            behind = range(-min(2, len(shape) - 2), 0)
            for axis in behind if self.grows is None else self.grows:
                shape[axis] = size
        times = batch if self.has_batches else 1
        parts = [torch.zeros(s[0] * times, *s[1:]) for s in (shape, *self.also)]
        return NestedTensor(parts) if self.also else parts[0]


def random_weights(
    config: Callable[[], Any], adjust: Callable[[Any], None] | None = None
) -> Callable[[], comfy.model_patcher.ModelPatcher]:
    """The host's model of a configuration (an instance of a class in ``supported_models``).

    Args:
        config: makes the configuration.
        adjust: changes the network before it gets its weights, where the host fixes a width.
    """

    @torch.no_grad()
    def make() -> comfy.model_patcher.ModelPatcher:
        settled = config()
        settled.set_inference_dtype(torch.float32, None)
        model = settled.get_model({}, "", device=CPU)
        if adjust is not None:
            adjust(model.diffusion_model)
        fill(model.diffusion_model)
        return comfy.model_patcher.ModelPatcher(
            model.eval().requires_grad_(False), load_device=CPU, offload_device=CPU
        )

    return make


def accepted(kind: Callable[..., Any], **settings: Any) -> dict[str, Any]:
    """Those of the settings that this version of a class or function of the host has."""
    names = inspect.signature(kind).parameters
    return {name: value for name, value in settings.items() if name in names}


@torch.no_grad()
def fill(network: torch.nn.Module) -> None:
    """Random weights that keep activations near one, away from zero-initialised gates."""
    generator = torch.Generator().manual_seed(0)
    for name, parameter in network.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if parameter.ndim >= 2 and not name.endswith("modulation"):
            parameter.copy_(noise / math.sqrt(parameter[0].numel()))
        elif name.endswith("bias"):
            parameter.copy_(0.02 * noise)
        else:
            parameter.copy_(1 + 0.05 * noise)
