"""Whether a sampler adds noise of its own: the host's by name, others by where their steps lead."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from ...samplers import Sort, sort_of_name
from ..guider import name_of
from .sampling_scale import Scale

MIN_NOISE = 0.3
"""Of all the noise that may be exchanged in a step: a step of a multistep sampler misses the
straight one by less than a tenth of it, one that exchanges the noise in full by all of it."""

ROUNDINGS = 16
"""Of latents that no step has moved: as many of their own type are no noise."""


def sort_of(sampler: Any) -> Sort:
    """How the host's sampler object steps on, with its options."""
    name, options = name_of(sampler), getattr(sampler, "extra_options", None) or {}
    sort = sort_of_name(name)
    if sort == "one step" and options.get("s_churn"):
        return "adds noise"
    is_off = name != "lcm" and 0 in (options.get("eta", 1), options.get("s_noise", 1))
    # Some of those that add noise go on from several answers.
    return "multistep" if sort == "adds noise" and is_off else sort


@dataclass(frozen=True, slots=True)
class Landing:
    """Where the sampler will be after a step that adds no noise, to first order.

    Args:
        x: noisy latents of an evaluation.
        denoised: what it said, guidance included.
        scale: of the latents then.
    """

    x: torch.Tensor
    denoised: torch.Tensor
    scale: Scale

    def misses(self, x: torch.Tensor, scale: Scale) -> bool:
        """Whether the latents of a later evaluation hold noise that this one did not. Waits for
        the device."""
        noise = (self.x - self.denoised * self.scale.alpha) / self.scale.sigma
        expected = self.denoised * scale.alpha + noise * scale.sigma
        lengths = torch.stack([(x - expected).float(), expected.float()]).flatten(1)
        missed, size = lengths.square().mean(1).sqrt().tolist()
        exchanged = 1 - (scale.sigma * self.scale.alpha) / (self.scale.sigma * scale.alpha)
        least = MIN_NOISE * scale.sigma * math.sqrt(max(exchanged, 0.0))
        return bool(missed > least + ROUNDINGS * torch.finfo(x.dtype).eps * size)
