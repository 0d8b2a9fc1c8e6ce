"""LPIPS, where somebody has installed it and its weights: nothing is downloaded for it."""

from __future__ import annotations

import importlib
import importlib.util
import logging
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

LOG = logging.getLogger("stepcache")

LIBRARY = "lpips"
WEIGHTS = {
    "alex": "alexnet-owt-7be5be79.pth",
    "squeeze": "squeezenet1_1-b8a52dc0.pth",
    "vgg": "vgg16-397923af.pth",
}
"""Networks that LPIPS looks through, its authors' first choice first, and where torchvision keeps
them."""
MIN_SIDE = 64
"""Pixels: the networks halve a picture five times."""


def network() -> str | None:
    """The network of which library and weights are there, or None."""
    if importlib.util.find_spec(LIBRARY) is None:
        return None
    folder = Path(torch.hub.get_dir(), "checkpoints")
    return next((name for name, file in WEIGHTS.items() if (folder / file).is_file()), None)


def lpips(
    net: str, pairs: Iterable[tuple[torch.Tensor, torch.Tensor]], device: torch.device
) -> float | None:
    """Mean perceptual distance, 0 for equal pictures; None where the library fails.

    Source: Zhang, Isola, Efros, Shechtman, Wang, "The Unreasonable Effectiveness of Deep Features
    as a Perceptual Metric", CVPR 2018; version 0.1 of the authors' weights.

    Args:
        net: as of `network`.
        pairs: pictures (height, width, 3), sides of 64 or more, values in [0, 1].
        device: where to compare them.
    """
    try:
        library: Any = importlib.import_module(LIBRARY)
        metric = library.LPIPS(net=net, verbose=False).to(device).eval()
        with torch.inference_mode():
            return fmean(
                float(metric(*(each.movedim(-1, 0)[None].float().to(device) for each in pair),
                             normalize=True))
                for pair in pairs
            )  # fmt: skip
    except Exception as error:
        # Another version of the library, or too little memory: the other numbers stand without it.
        LOG.warning("Step Cache: no LPIPS (%s: %s)", type(error).__name__, error)
        return None
