"""Continue what whole evaluations said on a line over the noise level."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from .combine import combine

if TYPE_CHECKING:
    from ..clock import Clock
    from ..values import Value
    from .approximator import Past, Reuse

Carried = Literal["noise", "denoised"]

MAX_REACH = 8.0
"""How far a line is continued, in lengths between its two points; rounding decides beyond."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """A straight line through the last two computed evaluations.

    Latents are alpha × picture + sigma × noise. What is carried is what the network takes for the
    noise, or for the picture. Lines are over log(1 + alpha / sigma), which is finite where there is
    nothing but noise, and log-SNR where there is little of it.

    Args:
        carried: "noise", for samplers that follow the ODE; "denoised", for those that add noise
            of their own, which no estimate can foresee.
        slope: how much of the line's slope is followed, 0 … 1; 0 holds the newest value.
        where_noise_is_added: stands in instead of this one where the sampler adds noise; None
            where this one does so anywhere.
    """

    carried: Carried = "noise"
    slope: float = 1.0
    where_noise_is_added: Forecast | None = None
    needs: int = 2
    remembers: int = 2

    def observe(self, past: Past, output: Value) -> Past:
        return (*past, output)[-2:]

    def approximate(self, past: Past, reuse: Reuse) -> tuple[Value, Past]:
        reach = self.slope * reach_of(reuse.times, reuse.clock)
        # Of both weights 1 + reach and -reach, in one pass over the memory.
        return combine(past[-2], past[-1], lambda older, newer: older.lerp(newer, 1 + reach)), past


def reach_of(times: Sequence[Clock], now: Clock) -> float:
    """How far beyond the newer of two times this one lies, in lengths between them.

    0 where they are at one noise level, through which there is no line.
    """
    older, newer = (_coordinate(clock) for clock in times[-2:])
    length = newer - older
    return min((_coordinate(now) - newer) / length, MAX_REACH) if length > 0 else 0.0


def _coordinate(clock: Clock) -> float:
    """log(1 + alpha / sigma)."""
    return float(math.log1p(math.exp(clock.half_log_snr)))
