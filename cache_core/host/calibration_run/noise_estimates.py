"""What a measured run shows of how its noise estimate changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ...calibration.noise import MAX_LEVELS, NoiseChanges
from ...calibration.thinning import Thinning
from ..evaluation.sampling_scale import scale_at

ELEMENTS = 2**14
"""Numbers of all latents of an evaluation that are kept, unless there are many latents."""


class NoiseEstimates:
    """Noise estimates of one run, thinned, on their own device and without waiting.

    Args:
        model_sampling: the host's.
        half_log_snrs: log(alpha / sigma) at the steps of the run and at its end.
    """

    def __init__(self, model_sampling: Any, half_log_snrs: Sequence[float]) -> None:
        self._model_sampling, self._half_log_snrs = model_sampling, half_log_snrs
        self._found: dict[int, torch.Tensor] = {}

    def take(self, step: int, sigma: float, x: torch.Tensor, denoised: torch.Tensor) -> None:
        """The sampler has been answered in a step; the first answer in it counts.

        Args:
            sigma: noise level of the evaluation.
            x: noisy latents, shape (batch, channels, …).
            denoised: the answer, guidance included, of the same shape.
        """
        thinning = Thinning.of([x], 1, ELEMENTS)
        if step in self._found or thinning is None:
            return
        both = torch.empty(2, *thinning.shape, dtype=torch.float32, device=x.device)
        for into, latents in zip(both, (x, denoised), strict=True):
            thinning.copy([latents], [into])
        scale = scale_at(self._model_sampling, sigma)
        # With x = alpha × denoised + sigma × noise.
        self._found[step] = (both[0] - both[1] * scale.alpha) / scale.sigma

    def changes(self) -> NoiseChanges | None:
        """What there is to keep; None where steps are missing or are of different sizes."""
        steps = range(len(self._half_log_snrs) - 1)
        shapes = {each.shape for each in self._found.values()}
        if self._found.keys() != set(steps) or len(shapes) != 1:
            return None
        places = np.unique(np.linspace(0, steps[-1], min(len(steps), MAX_LEVELS)).round())
        kept = [int(place) for place in places]
        estimates = torch.stack([self._found[step].flatten() for step in kept]).cpu().double()
        changes = estimates.diff(dim=0)
        matrix = (changes @ changes.T / changes.shape[1]).numpy()
        levels = [self._half_log_snrs[step] for step in (*kept, -1)]
        if not np.isfinite(matrix).all() or (np.diff(levels) < 0).any():
            return None
        return NoiseChanges.of(levels, matrix)
