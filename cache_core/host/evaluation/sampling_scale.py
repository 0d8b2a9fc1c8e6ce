"""The host's sigma schedule as numbers: timesteps 0 … 1000 and progress 0 … 1."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import comfy.model_sampling as ms
import numpy as np
import torch

from ...clock import TINY, Timeline, percents_of


def level_of(sigmas: torch.Tensor) -> float:
    """The noise level of an evaluation, given that of every row. Waits for the device.

    Raises:
        ValueError: it is not a finite number.
    """
    sigma = float(sigmas.flatten()[0])
    if not math.isfinite(sigma):
        raise ValueError(f"a noise level of {sigma}")
    return sigma


MAX_HALF_LOG_SNR = 16.0
"""Where latents are noise alone, or picture alone: log(alpha / sigma) in numbers that have a
power."""


class Scale(NamedTuple):
    """Latents are alpha × picture + sigma × noise."""

    alpha: float
    sigma: float

    @property
    def half_log_snr(self) -> float:
        """log(alpha / sigma), the time in which solvers are written, between ±16."""
        parts = (math.log(max(part, TINY)) for part in self)
        alpha, sigma = parts
        return max(-MAX_HALF_LOG_SNR, min(alpha - sigma, MAX_HALF_LOG_SNR))


def scale_at(model_sampling: Any, sigma: float) -> Scale:
    """How much of picture and noise latents hold at a noise level of the host's sampling object.

    Raises:
        ValueError: they hold neither.
    """
    (scale,) = scales_at(model_sampling, [sigma])
    return scale


def scales_at(model_sampling: Any, sigmas: Sequence[float]) -> list[Scale]:
    """The same for many noise levels."""
    # Pictures of ones without noise, and noise of ones without a picture.
    ones, zeros = torch.ones(len(sigmas), 1), torch.zeros(len(sigmas), 1)
    pictures, noises = torch.cat([ones, zeros]), torch.cat([zeros, ones])
    levels = torch.tensor([*sigmas, *sigmas])
    mixed = model_sampling.noise_scaling(levels, noises, pictures).view(2, len(sigmas)).tolist()
    for alpha, noise in zip(*mixed, strict=True):
        if not (math.isfinite(alpha + noise) and alpha >= 0 and noise >= 0 and alpha + noise > 0):
            raise ValueError(f"latents of {alpha:g} × picture + {noise:g} × noise")
    return [Scale(*parts) for parts in zip(*mixed, strict=True)]


def timeline_of(model_sampling: Any, sigmas: torch.Tensor) -> Timeline:
    """The timeline of a run.

    Args:
        model_sampling: the host's sampling object, patches included.
        sigmas: the run's schedule, shape (steps + 1,). Read once, before the run: some samplers
            write into it.
    """
    points = tuple(sigmas.detach().float().cpu().tolist())
    percents = percents_of(
        points[:-1],
        lambda p: float(model_sampling.percent_to_sigma(p)),
        _guesses(model_sampling, points[:-1]),
    )
    timesteps = _timesteps(model_sampling, points[:-1])
    return Timeline(points, timesteps, percents, _half_log_snrs(model_sampling, points))


def known_scales(model_sampling: Any, sigmas: Sequence[float]) -> dict[float, Scale]:
    """How much of picture and noise latents hold by noise level; nothing where one of the levels
    has no answer: another pack's object may do anything."""
    try:
        return dict(zip(sigmas, scales_at(model_sampling, sigmas), strict=True))
    except Exception:
        return {}


def _half_log_snrs(model_sampling: Any, sigmas: tuple[float, ...]) -> tuple[float, ...]:
    known = known_scales(model_sampling, sigmas)
    return tuple(known[sigma].half_log_snr for sigma in sigmas) if known else ()


def _guesses(model_sampling: Any, sigmas: tuple[float, ...]) -> list[float] | None:
    """Progress by the table of a discrete schedule, where there is one: every question to the host
    is some operations of PyTorch, and to search for one step takes a dozen."""
    table = getattr(model_sampling, "log_sigmas", None)
    if not isinstance(table, torch.Tensor) or len(table) < 2:
        return None
    levels = np.log(np.maximum(sigmas, TINY))
    known = table.detach().double().cpu().numpy()
    places = np.interp(levels, known, np.arange(len(known)))
    return (1 - places / (len(known) - 1)).tolist()


def _timesteps(model_sampling: Any, sigmas: tuple[float, ...]) -> tuple[float | None, ...]:
    """Timesteps 0 … 1000 after the schedule shift, or None for models without such a scale.

    Flow models differ in the multiplier and the units of their own ``timestep``; 1000 × sigma is
    the scale in which all published windows are written.
    """
    if isinstance(model_sampling, (ms.ModelSamplingDiscreteFlow, ms.ModelSamplingFlux)):
        return tuple(1000.0 * sigma for sigma in sigmas)
    is_discrete = isinstance(model_sampling, ms.ModelSamplingDiscrete)
    if is_discrete and not isinstance(
        model_sampling, (ms.ModelSamplingDiscreteEDM, ms.StableCascadeSampling)
    ):
        return tuple(float(t) for t in model_sampling.timestep(torch.tensor(sigmas)))
    return (None,) * len(sigmas)
