"""How alike two pictures are."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Pixels = NDArray[np.float64]

SIGMA = 1.5
RADIUS = 5
MIN_SIDE = 2 * RADIUS + 1
C1, C2 = 0.01**2, 0.03**2


def psnr(first: Pixels, second: Pixels) -> float:
    """Peak signal-to-noise ratio in dB; infinite for equal arrays.

    Args:
        first, second: the same shape, values in [0, 1].

    Raises:
        ValueError: the shapes differ.
    """
    _require_same_shape(first, second)
    error = float(np.mean((first - second) ** 2))
    return math.inf if error == 0 else -10.0 * math.log10(error)


def ssim(first: Pixels, second: Pixels) -> float:
    """Structural similarity, 1 for equal pictures, averaged over the channels.

    Source: Wang, Bovik, Sheikh, Simoncelli, "Image quality assessment: from error visibility to
    structural similarity", IEEE TIP 13(4), 2004, equation 13: an 11 x 11 Gaussian window of
    sigma 1.5, K1 = 0.01, K2 = 0.03, pixels whose window leaves the picture left out.

    Args:
        first, second: (height, width, channels), sides above 10, values in [0, 1].

    Raises:
        ValueError: the shapes differ, or a side is too short for the window.
    """
    _require_same_shape(first, second)
    if min(first.shape[:2]) < MIN_SIDE:
        raise ValueError(f"a picture of {first.shape[1]} x {first.shape[0]} is below {MIN_SIDE}")

    def smooth(pixels: Pixels) -> Pixels:
        blurred = gaussian_filter(pixels, (SIGMA, SIGMA, 0), radius=(RADIUS, RADIUS, 0))
        return blurred[RADIUS:-RADIUS, RADIUS:-RADIUS]

    mean_1, mean_2 = smooth(first), smooth(second)
    variance_1 = smooth(first * first) - mean_1**2
    variance_2 = smooth(second * second) - mean_2**2
    covariance = smooth(first * second) - mean_1 * mean_2
    alike = (2 * mean_1 * mean_2 + C1) * (2 * covariance + C2)
    total = (mean_1**2 + mean_2**2 + C1) * (variance_1 + variance_2 + C2)
    return float(np.mean(alike / total))


def _require_same_shape(first: Pixels, second: Pixels) -> None:
    if first.shape != second.shape:
        raise ValueError(f"pictures of different shape: {first.shape} and {second.shape}")
