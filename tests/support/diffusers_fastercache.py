"""FasterCache as diffusers reads it, of which ours differs: to be compared with that library's.

Source: huggingface/diffusers 0.42.1, ``hooks/faster_cache.py``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from stepcache.cache_core.approximators import Extrapolate, FrequencyDelta, Reuse
from stepcache.cache_core.approximators.frequency import low_band
from stepcache.cache_core.methods import FasterCache
from stepcache.cache_core.rules import Rule

AXES = (-2, -1)


@dataclass(frozen=True, slots=True)
class DiffusersFasterCache(FasterCache):
    """Attention is reused only in steps of one branch and extrapolated from reused outputs too, and
    spectra are kept."""

    def rules(self) -> tuple[Rule, ...]:
        *attention, guidance = FasterCache.rules(self)
        delta = SpectralDelta(
            self.low_gain, self.high_gain, self.low_window, self.high_window, self.compounds
        )
        what = ExtrapolateFromCalls(self.weight)
        return (
            *(replace(rule, when=rule.when & guidance.when, what=what) for rule in attention),
            replace(guidance, what=delta),
        )


@dataclass(frozen=True, slots=True)
class ExtrapolateFromCalls(Extrapolate):
    """`Extrapolate` over the outputs of the last two *calls*, reused ones included; the first
    output counts twice."""

    min_history: int = 1

    def update(self, history: Any, output: Any) -> Any:
        return (history[-1], output) if history else (output, output)

    def predict(self, history: Any, reuse: Reuse) -> Any:
        value, _ = Extrapolate.predict(self, history, reuse)
        return value, (history[-1], value)


@dataclass(frozen=True, slots=True)
class SpectralDelta(FrequencyDelta):
    """`FrequencyDelta` in the published form, which keeps spectra and transforms back at every
    reuse: equal but for rounding, with twice the memory."""

    def update(self, history: Any, output: Any) -> Any:
        cond, uncond = (spectrum_bands(branch) for branch in output)
        return ((uncond[0] - cond[0], uncond[1] - cond[1]),)

    def predict(self, history: Any, reuse: Reuse) -> Any:
        low, high = history[-1]
        low = low * (self.low_gain if self.low_window.may_reuse(reuse.clock) else 1.0)
        high = high * (self.high_gain if self.high_window.may_reuse(reuse.clock) else 1.0)
        cond: Any = reuse.given
        cond_low, cond_high = spectrum_bands(cond)
        spectrum = torch.fft.ifftshift(low + cond_low + (high + cond_high), dim=AXES)
        value = torch.fft.ifft2(spectrum).real.to(cond.dtype)
        return value, ((low, high),) if self.compounds else history


def spectrum_bands(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The centred spectrum of `x` inside the low band, and outside it."""
    spectrum = torch.fft.fftshift(torch.fft.fft2(x.float()), dim=AXES)
    disc = low_band(x)
    return spectrum * disc, spectrum * ~disc
