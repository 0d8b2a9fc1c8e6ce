"""Chooses thresholds and settings on captions of the training set, never on those that judge."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from comfy.patcher_extension import WrappersMP
from demonstration.measure import psnr
from numpy.typing import NDArray

from demo import calibrate, evaluate

from .forecast_patches import metered
from .forecast_rules import Magnitudes
from .forecast_trunk import OPTIONS, ruled, step_of
from .quality_records import read_json, write_json
from .quality_runs import Patch, Subject, eight_bit

IDENTICAL = 99.0
"""What stands for the PSNR of equal pictures where means are compared, dB."""
LEAST, MOST = 1e-4, 3.0
"""Thresholds that are looked at; the host's nodes take none above."""
NEAR = 1.03
"""Ratio of two thresholds between which no other one is looked for."""
TOLERANCE = 0.01
"""How far above the wanted share no other threshold is looked for."""


@dataclass(frozen=True)
class Trial:
    """One run over the training captions.

    Args:
        share: FLOPs ÷ those of the plain run.
        psnr: mean over the pictures, dB.
    """

    share: float
    psnr: float


class Training:
    """The training captions of one model.

    Args:
        subject: the model.
        work: folder that keeps what was chosen.
    """

    def __init__(self, subject: Subject, work: Path) -> None:
        self._subject, self._folder = subject, work / "chosen"
        self._texts = calibrate.captions(model=subject.name)
        self._shares: dict[str, dict[float, float]] = {}

    def chosen(self, name: str, choose: Callable[[], Any]) -> Any:
        """What was chosen under a name, as plain data; now or by an earlier run."""
        path = self._folder / f"{self._subject.name}_{name.replace(' ', '-')}.json"
        if not path.exists():
            write_json(path, choose())
            print(f"  chosen for {path.stem}: {read_json(path)}", flush=True)
        return read_json(path)

    def try_out(self, patch: Patch) -> Trial:
        """Draw the training captions with something attached."""
        pictures, flops = self._draw(patch(self._subject.model), self._texts)
        plain, plain_flops = self._plain
        alike = [
            min(psnr(a / 255.0, b / 255.0), IDENTICAL) for a, b in zip(pictures, plain, strict=True)
        ]
        return Trial(flops / plain_flops, statistics.fmean(alike))

    def share_of(self, patch: Patch) -> float:
        """FLOPs ÷ those of the plain run, of what is the same for any picture."""
        return self._draw(patch(self._subject.model), self._texts[:1])[1] / self.flops_per_picture

    def threshold(self, name: str, patch: Callable[[Any, float], Any], share: float) -> float:
        """The threshold that computes a share of the FLOPs, or hardly more.

        Args:
            name: of what has the threshold; its shares are kept for the next search.
            patch: attaches it.
            share: 0 … 1.
        """
        known = self._shares.setdefault(name, {})

        def share_at(threshold: float) -> float:
            if threshold not in known:
                known[threshold] = self.try_out(lambda model: patch(model, threshold)).share
            return known[threshold]

        return highest_threshold(share_at, known, share)

    def magnitude_ratios(self) -> list[float]:
        """How much longer what the blocks add is than a step before, by step; 1 for the first."""
        rule = Magnitudes()
        self._draw(ruled(self._subject.model, lambda: rule), self._texts)
        return rule.ratios

    def computed_steps(self, patch: Patch) -> list[int]:
        """The steps in which the network is asked, of what plans them beforehand."""
        found: list[int] = []

        def note(executor: Any, *args: Any, **kwargs: Any) -> Any:
            found.append(step_of(args[OPTIONS]))
            return executor(*args, **kwargs)

        patched = patch(self._subject.model).clone()
        patched.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "note", note)
        self._draw(patched, self._texts[:1])
        return found

    @cached_property
    def flops_per_picture(self) -> int:
        """FLOPs of a plain run over one caption."""
        return self._draw(self._subject.model, self._texts[:1])[1]

    @cached_property
    def _plain(self) -> tuple[NDArray[np.uint8], int]:
        return self._draw(self._subject.model, self._texts)

    def _draw(self, model: Any, texts: list[str]) -> tuple[NDArray[np.uint8], int]:
        counted, meter = metered(model)
        pictures = evaluate.sample(counted, texts, self._subject.options, calibrate.SEED)
        return eight_bit(pictures), meter.flops


def highest_threshold(
    share_at: Callable[[float], float], known: dict[float, float], wanted: float
) -> float:
    """The highest threshold found whose share is not below the wanted one.

    Args:
        share_at: falls with the threshold; what it says is put into `known`.
        known: shares by threshold.
        wanted: share, 0 … 1.
    """

    def is_enough(threshold: float) -> bool:
        return share_at(threshold) >= wanted - 1e-6

    if is_enough(MOST):
        return MOST
    while True:
        low = max((t for t in known if is_enough(t)), default=LEAST)
        high = min(t for t in known if t > low and not is_enough(t))
        # Thresholds matter by their ratio. Three digits are kept of each.
        middle = float(f"{math.sqrt(low * high):.3g}")
        is_near = low in known and known[low] - wanted <= TOLERANCE
        if is_near or high / low < NEAR or middle in (low, high):
            return low
        share_at(middle)
