"""Calibrating runs of toys, and what is left of them."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
import toys
from stepcache.cache_core.calibration import Calibration, Study
from stepcache.cache_core.calibration.recorder import Recorder
from stepcache.cache_core.methods import Calibrate
from stepcache.cache_core.patching import attach, last_report
from stepcache.cache_core.report import Report

STEPS = 10
"""The fewest at which it is sensed how much changes matter."""


@dataclass
class Delivered:
    """Where a calibrating run puts what it measured."""

    all: list[Calibration] = field(default_factory=list)

    def __call__(self, calibration: Calibration) -> tuple[Calibration, tuple[str, ...]]:
        self.all.append(calibration)
        return calibration, ("delivered",)


@dataclass(frozen=True)
class Calibrated:
    """What came of a calibrating run.

    Args:
        picture: the latents.
        patched: the model that was sampled.
        report: of the run.
        found: what was measured, None where nothing was.
    """

    picture: torch.Tensor
    patched: Any
    report: Report
    found: Calibration | None

    @property
    def notes(self) -> str:
        return "\n".join(self.report.notes)

    @property
    def calibration(self) -> Calibration:
        assert self.found is not None, self.notes
        return self.found


def calibrate(
    name: str,
    model: Any = None,
    run: Callable[[Any], torch.Tensor] | None = None,
    study: dict[str, Any] | None = None,
    **options: Any,
) -> Calibrated:
    """Sample a toy with SmoothCache Calibrate attached.

    Args:
        model: another model than the toy's own.
        run: samples it in another way.
        study: what is asked for besides the defaults.
        options: of the run.
    """
    delivered = Delivered()
    patched = attach(model or toys.load(name), Calibrate(Study(delivered, **(study or {}))))
    picture = run(patched) if run else toys.sample(patched, name, **{"steps": STEPS, **options})
    report = last_report(patched)
    assert report is not None
    assert len(delivered.all) <= 1
    return Calibrated(picture, patched, report, next(iter(delivered.all), None))


def recorders() -> int:
    """Recorders that are alive in this process, each with the values that it compares."""
    gc.collect()
    return sum(type(obj) is Recorder for obj in gc.get_objects())
