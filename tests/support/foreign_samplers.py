"""Doubles of samplers of other packs, which call the model at noise levels off the schedule."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import comfy.model_sampling
import torch
from comfy.samplers import KSAMPLER

FIRST = 0.9999
"""A flow model's latents hold no picture at 1, where exponential integrators begin beside it."""


def res_2s(eta: float = 0.0, c2: float = 0.5) -> KSAMPLER:
    """The exponential integrator of two stages that RES4LYF calls by this name.

    Args:
        eta: share of the noise that every step exchanges for fresh one; 0 follows the ODE.
        c2: where in a step the second stage lies, in log(alpha / sigma).

    Source: arXiv 2308.02157, algorithm 1; RES4LYF's ``res_2s`` has the same tableau.
    """

    def sample_res_2s_of_another_pack(
        model: Any, x: torch.Tensor, sigmas: torch.Tensor, extra_args: Any = None,
        callback: Any = None, disable: Any = None,
    ) -> torch.Tensor:  # fmt: skip
        levels = _Levels(model.inner_model.inner_model.model_sampling)
        generator = torch.Generator().manual_seed(11)
        rows = x.new_ones(x.shape[0])

        def ask(x: torch.Tensor, sigma: float) -> torch.Tensor:
            return model(x, sigma * rows, **(extra_args or {}))

        points = [levels.inside(float(sigma)) for sigma in sigmas]
        for step, (now, then) in enumerate(pairwise(points)):
            first = ask(x, now)
            if callback is not None:
                callback({"x": x, "i": step, "sigma": now, "sigma_hat": now, "denoised": first})
            if then == 0:
                return first
            between = levels.between(now, then, c2)
            second = ask(levels.led(x, first, now, between), between)
            denoised = first + (second - first) / (2 * c2)
            x = levels.led(x, denoised, now, then)
            noise = torch.randn(x.shape, generator=generator).to(x)
            held = x - levels.alpha(then) * denoised
            x = x + (math.sqrt(1 - eta**2) - 1) * held + eta * then * noise
        return x

    return KSAMPLER(sample_res_2s_of_another_pack)


class _Levels:
    """Noise levels of a model: latents are alpha × picture + sigma × noise."""

    def __init__(self, model_sampling: Any) -> None:
        self._is_flow = isinstance(model_sampling, comfy.model_sampling.CONST)

    def inside(self, sigma: float) -> float:
        return min(sigma, FIRST) if self._is_flow else sigma

    def alpha(self, sigma: float) -> float:
        return 1 - sigma if self._is_flow else 1.0

    def between(self, now: float, then: float, share: float) -> float:
        """The level at a share of the way, in log(alpha / sigma)."""
        ratios = [math.log(self.alpha(sigma) / sigma) for sigma in (now, then)]
        ratio = math.exp(ratios[0] + share * (ratios[1] - ratios[0]))
        return 1 / (1 + ratio) if self._is_flow else 1 / ratio

    def led(self, x: torch.Tensor, denoised: torch.Tensor, now: float, then: float) -> torch.Tensor:
        """Latents at another level, if the picture is that and the noise stays as it is."""
        noise = (x - self.alpha(now) * denoised) / now
        return self.alpha(then) * denoised + then * noise
