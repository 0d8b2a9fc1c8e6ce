"""Measures a reference model on captions that no benchmark draws."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import evaluate
from .reference import REFERENCES

CAPTIONS = 8
SEED = 2026


def captions(count: int = CAPTIONS, model: str = "dit") -> list[str]:
    """Captions from a reference model's training set: held-out ones are for scoring.

    Args:
        count: how many.
        model: one of `REFERENCES`; models that draw the same have the same captions.
    """
    rng = np.random.default_rng(SEED)
    return [REFERENCES[model].domain.training_caption(rng) for _ in range(count)]


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
    from stepcache.cache_core.host import attach
    from stepcache.cache_core.methods import Calibrate

    found: list[Calibration] = []

    def deliver(calibration: Calibration) -> tuple[Calibration, tuple[str, ...]]:
        found.append(calibration)
        return calibration, ()

    texts = captions(model=options.model)
    evaluate.sample(model, texts, options, SEED)
    evaluate.sample(attach(model, Calibrate(Study(deliver, **settings))), texts, options, SEED)
    return found[0]
