"""What a companion is: somebody else's node, an unusual prompt, or another way to sample."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import host
import torch
import toys
from comfy_extras import nodes_custom_sampler
from stepcache.cache_core.sites import SiteKind

import nodes

Conds = tuple[list, list]

UNETS = ("sd15",)
PAIR = ("sd15", "wan")
EVERY = ("sd15", "wan", "flux", "sd3")
"""A UNet and three DiTs: attention in modules of its own, fused with the feed-forward and written
in place, and woven into blocks."""


UNET_MODELS = ("sd15", "inpaint")
SIZE = 12
"""Height and width of what UNets sample here: less than the toys', which is faster."""


def empty(name: str) -> torch.Tensor:
    """The empty latent of a run."""
    return toys.TOYS[name].empty(size=SIZE if name in UNET_MODELS else None)


@dataclass(frozen=True)
class Companion:
    """A patch on the model, a change of the conditioning, options of the run, or a guider.

    Args:
        models: toys that it fits.
        stress: methods that it is likeliest to upset besides PAB and Step Cache, the likeliest
            first; all of them are tried on the first model, the first that fits on the others.
        patch: puts its node on a model.
        change: what its nodes do to the conditioning of a toy.
        options: arguments of the run for a toy.
        guide: makes its guider; the host's own, without one.
        steps: sampler steps of its runs.
        has_forced: whether a planned reuse may have to be computed, for reasons in the report.
        has_guidance: whether a branch may be left out beside it.
        is_dangerous: whether all of them are tried on every model.
    """

    name: str
    models: tuple[str, ...]
    stress: tuple[str, ...] = ()
    patch: Callable[[Any], Any] = lambda model: model
    change: Callable[[Conds, str], Conds] = lambda conds, name: conds
    options: Callable[[str], dict[str, Any]] = lambda name: {}
    guide: Callable[[Any, Conds], Any] | None = None
    steps: int = 4
    has_forced: bool = False
    has_guidance: bool = True
    is_dangerous: bool = False

    def methods(self, name: str) -> tuple[str, ...]:
        """Names of the methods to try on a toy."""
        fitting = [method for method in self.stress if _fits(method, name)]
        has_all = self.is_dangerous or name == self.models[0]
        # Whatever stands beside it, an evaluation is answered without the network.
        whole = ("StepCache",) if has_all or name in PAIR else ()
        return ("PAB", *whole, *(fitting if has_all else fitting[:1]))

    def __str__(self) -> str:
        return self.name

    def sample(self, model: Any, name: str) -> torch.Tensor:
        """One run of a model that carries the companion's patch."""
        torch.manual_seed(
            0
        )  # the ControlNet's hint and some patches draw from the global generator
        conds = self.change(toys.conditioning(name), name)
        options = {"latent": empty(name), **dict(toys.TOYS[name].options), **self.options(name)}
        if self.guide is None:
            return toys.sample(model, name, steps=self.steps, conds=conds, **options)
        return _sample_guided(model, self.guide(model, conds), options["latent"], self.steps)


def _fits(method: str, name: str) -> bool:
    kinds = toys.TOYS[name].kinds
    # The oldest toys list no kinds; all of them have cross-attention.
    if method.startswith("DeepCache"):
        return name in UNET_MODELS
    return method != "TGate" or not kinds or SiteKind.CROSS_ATTENTION in kinds


def _sample_guided(model: Any, guider: Any, latent: torch.Tensor, steps: int) -> torch.Tensor:
    """One run through SamplerCustomAdvanced."""
    custom = nodes_custom_sampler
    (noise,) = host.outputs_of(custom.RandomNoise.execute(1))
    (sampler,) = host.outputs_of(custom.KSamplerSelect.execute("euler"))
    (sigmas,) = host.outputs_of(custom.BasicScheduler.execute(model, "simple", steps, 1.0))
    with torch.inference_mode():
        result = custom.SamplerCustomAdvanced.execute(
            noise, guider, sampler, sigmas, {"samples": latent}
        )
    return toys.flat(host.outputs_of(result)[0]["samples"])


def set_range(cond: list, start: float, end: float) -> list:
    """A prompt for a part of the run, by ComfyUI's node."""
    return nodes.ConditioningSetTimestepRange().set_range(cond, start, end)[0]


def weaker(cond: list, factor: float = 0.5) -> list:
    """Another prompt: the same embedding scaled."""
    return [[text * factor, dict(entries)] for text, entries in cond]
