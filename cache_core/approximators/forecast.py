"""Continue what whole evaluations said on a line over the noise level."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

from .combine import combine

if TYPE_CHECKING:
    import torch

    from ..clock import Clock
    from ..values import Value
    from .approximator import History, Reuse

Carried = Literal["noise", "denoised"]

MAX_REACH = 8.0
"""How far a line is continued, in lengths between its two points; rounding decides beyond."""

NOISE_ALONE = -2.0
"""log(alpha / sigma) below which a run begins with noise alone. What networks say there is far from
what they say next, so that no line leads through it: the first noise estimate of a UNet lies three
times as far from its second as that one from its third."""

REACH_FROM_NOISE = 1.0
"""As MAX_REACH, of a line that begins in such latents after the first step: what begins a run
changes fast. On the UNet, with a scheduler of small first steps, 3 dB."""

SWING, BACK = 0.5, 0.25
"""Of a change: where the next one goes back by more than half of it, values swing around something
instead of leading anywhere; and how far back the forecast goes at most. Chosen on training
captions."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """A straight line through the last two computed evaluations.

    Latents are alpha × picture + sigma × noise. What is carried is what the network takes for the
    noise, or for the picture. Lines are over log(alpha / sigma), half the log-SNR.

    Args:
        carried: "noise", for samplers that follow the ODE; "denoised", for those that add noise
            of their own, which no estimate can foresee.
        slope: how much of the line's slope is followed, 0 … 1; 0 holds the newest value.
        furthest: how far the line is continued, in lengths between its two points; from there on
            its value is held.
        damps: whether no line is followed where the newest value went back by more than half of the
            change before it: the more it did, the further back from it the forecast goes, up to a
            quarter of the newest change. For each picture of a batch.
        in_multistep: stands in instead of this one where the sampler steps on from several answers;
            None where this one does so too.
        off_the_line: stands in instead of this one where the sampler adds noise, or leaves a line
            of the noise in another way; None where this one does so anywhere.
    """

    carried: Carried = "noise"
    slope: float = 1.0
    furthest: float = MAX_REACH
    damps: bool = False
    in_multistep: Forecast | None = None
    off_the_line: Forecast | None = None
    min_history: int = 2
    max_history: int = 2

    def update(self, history: History, output: Value) -> History:
        latest = (*history, output)[-2:]
        if not self.damps or len(history) < self.min_history:
            return latest
        older, newer = history[-2:]
        return (combine(_change(older, newer), _change(newer, output), _damping), *latest)

    def predict(self, history: History, reuse: Reuse) -> tuple[Value, History]:
        reach = self.slope * min(reach_of(reuse.times, reuse.clock), self.furthest)
        *damping, older, newer = history
        # Of both weights 1 + reach and -reach, in one pass over the memory.
        weight: float | torch.Tensor = 1 + reach
        if damping:
            back = cast("torch.Tensor", damping[0])
            weight = 1 + back + reach * (back == 0)
        return combine(older, newer, lambda older, newer: older.lerp(newer, weight)), history


def _change(older: Value, newer: Value) -> Value:
    return combine(older, newer, lambda older, newer: newer - older)


def _damping(before: torch.Tensor, now: torch.Tensor) -> torch.Tensor:
    """How far on from the newest value to go where values swing, -BACK … 0: (batch, 1, …).

    In lengths of the change now, for each picture; 0 where they do not.
    """
    axes = tuple(range(1, now.ndim))
    along, size = ((before * each).sum(axes, keepdim=True) for each in (now, before))
    # No number where nothing changed.
    return (along / size + SWING).clamp(-BACK, 0).nan_to_num(0)


def reach_of(times: Sequence[Clock], now: Clock) -> float:
    """How far beyond the newer of two times this one lies, in lengths between them.

    0, which holds the newer value, where both are at one noise level, and where the older one is
    the first evaluation of latents that are nothing but noise; at most 1 where it is a later one of
    such latents.
    """
    older, newer = times[-2:]
    length = newer.half_log_snr - older.half_log_snr
    is_noise = older.half_log_snr < NOISE_ALONE
    if length <= 0 or (older.step == 0 and is_noise):
        return 0.0
    furthest = REACH_FROM_NOISE if is_noise else MAX_REACH
    return min((now.half_log_snr - newer.half_log_snr) / length, furthest)
