"""Measures a reference model on captions that no benchmark draws."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import evaluate
from .shapes import scenes

CAPTIONS = 8
SEED = 2026


def captions(count: int = CAPTIONS) -> list[str]:
    """Captions from the training set: held-out ones are for scoring."""
    rng = np.random.default_rng(SEED)
    found: list[str] = []
    while len(found) < count:
        scene = scenes.random_scene(rng)
        if not scenes.is_held_out(scene):
            found.append(scenes.caption(scene))
    return found


def calibrated(model: Any, options: evaluate.Sampling, **settings: Any) -> Any:
    """What one ordinary run over all captions at once shows about a model.

    Args:
        model: the host's patcher, nothing of the pack attached.
        options: as of `evaluate.sample`: steps, cfg, sampler, scheduler.
        settings: of `Study`.

    Returns:
        The pack's `Calibration`.
    """
    from stepcache.cache_core.calibration import Calibration, Study
    from stepcache.cache_core.methods import Calibrate
    from stepcache.cache_core.patching import attach

    found: list[Calibration] = []

    def deliver(calibration: Calibration) -> tuple[Calibration, tuple[str, ...]]:
        found.append(calibration)
        return calibration, ()

    texts = captions()
    evaluate.sample(model, texts, options, SEED)
    evaluate.sample(attach(model, Calibrate(Study(deliver, **settings))), texts, options, SEED)
    return found[0]
