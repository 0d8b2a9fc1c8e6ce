"""Whole evaluations of one run: answered by a forecast, or computed and kept."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch

from ...approximators import Forecast
from ...decisions import NO_ALPHA, NO_PICTURE, NOT_LATER, OWN_STEPS
from ...samplers import Sort
from ...session import Session
from ...site_call import SiteCall
from ...sites import Site
from ...streams import StreamKey
from ..compatibility.lora_hooks import weights_of
from ..guard import guarded
from .added_noise import Landing
from .branches import Conds
from .guidance import is_active
from .latent_parts import PASS_KEY, UNKNOWN_PART, Pass, signature_of
from .sampling_scale import Scale, known_scales, scale_at

EVALUATION = "an evaluation"
"""What is computed where a forecast is not possible, for the note about it."""

JOINS_STEPS = (
    "the sampler may step on from several answers: the denoised latent is carried on instead of "
    "the noise"
)
"""What is noted where it does, or may do so."""

OFF_THE_LINE: dict[Sort, str] = {
    "adds noise": "the sampler adds noise",
    "CFG++": "the sampler guides by CFG++",
    "CFG++ of EPS": "the sampler guides by CFG++",
    "high order": "the sampler steps on from several answers, at a high order",
}
"""Samplers with which latents are soon far from a line of their noise, in words."""

MIN_PART = 1e-4
"""Of picture or noise in the latents: below, what is solved for that part is rounding."""

Compute = Callable[[], list[torch.Tensor]]


class Evaluations:
    """What the sampler's evaluations are answered.

    The host answers every list of conditionings in denoised latents. With x = alpha × denoised +
    sigma × noise, either of the two is carried, in float32, and the other follows from x.

    Args:
        site: the evaluation.
        model_sampling: the host's.
        sampler: of which sort it is.
        note: takes a remark for the report.
    """

    def __init__(
        self,
        session: Session,
        site: Site,
        model_sampling: Any,
        sampler: Sort,
        note: Callable[[str], None],
    ) -> None:
        self._session, self._site = session, site
        self._model_sampling, self._note = model_sampling, note
        # Those of the run's steps at once: to ask the host takes as long as the rest of a forecast.
        timeline = session.report.timeline
        self._scales = known_scales(model_sampling, timeline.sigmas if timeline else ())
        self._sampler, self._scale = sampler, Scale(0.0, 1.0)
        self._landing: Landing | None = None
        self._watched = -1
        if sampler in OFF_THE_LINE:
            self._carry_picture(OFF_THE_LINE[sampler])
        elif sampler in ("multistep", "unknown") and self._what.in_multistep is not None:
            session.set_approximator(site, self._what.in_multistep)
            note(JOINS_STEPS)

    def begin(self, sigma: float) -> float:
        """The sampler is about to evaluate at this noise level; its log(alpha / sigma)."""
        self._scale = self._scales.get(sigma) or scale_at(self._model_sampling, sigma)
        return self._scale.half_log_snr

    def predict(
        self, conds: Conds, x: torch.Tensor, streams: Sequence[StreamKey], compute: Compute
    ) -> list[torch.Tensor]:
        """The denoised latents for every list of conditionings.

        Args:
            conds: lists, None for one that is left out.
            x: noisy latents, shape (batch, channels, …).
            streams: of the lists that are not left out.
            compute: asks the host.
        """
        report, call = self._session.report, SiteCall(self._session, self._site, streams)
        with guarded(report, EVALUATION):
            if call.reuses(lambda: self._reason(streams)):
                return self._recalled(conds, x, call)
        answers = compute()
        with guarded(report, EVALUATION):
            self._record(answers, conds, x, call)
        return answers

    def _reason(self, streams: Sequence[StreamKey]) -> str | None:
        """Why there can be no forecast, although enough is stored for one."""
        if self._sampler == "chooses its steps":
            return OWN_STEPS
        if self._sampler == "CFG++ of EPS" and self._scale.alpha < 1:
            return NO_ALPHA
        if self._carries_noise and self._scale.alpha < MIN_PART:
            return NO_PICTURE
        now = self._session.clock.half_log_snr
        entries = [self._session.store.get(self._site, stream) for stream in streams]
        is_later = all(entry and now > entry.times[-1].half_log_snr for entry in entries)
        return None if is_later else NOT_LATER

    def _recalled(self, conds: Conds, x: torch.Tensor, call: SiteCall) -> list[torch.Tensor]:
        value = cast(torch.Tensor, call.recall())
        parts = iter(value.chunk(len(call.streams)))
        return [
            torch.zeros_like(x) if entries is None else self._denoised(next(parts), x)
            for entries in conds
        ]

    def _denoised(self, carried: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        if self._carries_noise:
            carried = torch.sub(x, carried, alpha=self._scale.sigma).div_(self._scale.alpha)
        return carried.to(x.dtype)

    def _record(
        self,
        answers: list[torch.Tensor],
        conds: Conds,
        x: torch.Tensor,
        call: SiteCall,
    ) -> None:
        computed = (a for a, entries in zip(answers, conds, strict=True) if entries is not None)
        for stream, denoised in zip(call.streams, computed, strict=True):
            one = call.of(stream)
            if self._keeps(stream):
                one.record(self._carried(denoised, x))
            else:
                one.count()

    def _carried(self, denoised: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        if not self._carries_noise:
            return denoised.float()
        noise = x.float() - denoised.float() * self._scale.alpha
        return noise.div_(self._scale.sigma)

    def _keeps(self, stream: StreamKey) -> bool:
        """Of several evaluations in a step the first is kept: from there the sampler steps on."""
        session, site = self._session, self._site
        entry = session.store.get(site, stream)
        is_first = entry is None or entry.step != session.clock.step
        return is_first and session.keeps(site) and self._scale.sigma >= MIN_PART

    def finish_evaluation(self, x: torch.Tensor, denoised: torch.Tensor) -> None:
        """The sampler has been answered.

        Args:
            x: noisy latents, shape (batch, channels, …).
            denoised: the answer, guidance included, of the same shape.
        """
        step = self._session.clock.step
        if self._sampler != "unknown" or step == self._watched:
            return
        with guarded(self._session.report, EVALUATION):
            if self._landing is not None and self._landing.misses(x, self._scale):
                self._sampler = "adds noise"
                self._carry_picture("the sampler's steps lead elsewhere than without noise")
            # Samplers may write into both.
            self._landing = Landing(x.clone(), denoised.clone(), self._scale)
            self._watched = step

    def _carry_picture(self, reason: str) -> None:
        """Carry what holds off the line of the noise, if that was left open."""
        what = self._what.off_the_line
        if what is not None:
            self._session.set_approximator(self._site, what)
            self._note(f"{reason}: the denoised latent is carried on instead of the noise")

    @property
    def _carries_noise(self) -> bool:
        return self._what.carried == "noise"

    @property
    def _what(self) -> Forecast:
        return cast(Forecast, self._session.rule_of(self._site).what)


def streams_of(
    conds: Conds, x: torch.Tensor, sigma: float, options: Mapping[str, Any]
) -> list[StreamKey]:
    """As whose the answers to lists of conditionings are kept, but for lists that are left out."""
    current: Pass = options[PASS_KEY]
    signature = (current.branches, current.model, signature_of(options))
    streams: list[StreamKey] = []
    for number, entries in enumerate(conds):
        if entries is None:
            continue
        active = [entry for entry in entries if is_active(entry, sigma)]
        streams.append(
            StreamKey(
                cond=number,
                uuid=tuple((e.get("uuid"), _controls(e.get("control"), sigma)) for e in active),
                window=current.window.frames if current.window is not None else None,
                signature=signature,
                layout=(tuple(x.shape), x.dtype, x.device),
                doubt="" if current.latent is not None else UNKNOWN_PART,
                weights=tuple(weights_of(entry.get("hooks")) for entry in active),
            )
        )
    return streams


def _controls(control: Any, sigma: float) -> tuple[bool, ...]:
    """Which of the ControlNets in a chain are on: what was said with one is no answer without."""
    found: list[bool] = []
    while control is not None:
        first, last = getattr(control, "timestep_range", None) or (math.inf, 0.0)
        found.append(last <= sigma <= first)
        control = getattr(control, "previous_controlnet", None)
    return tuple(found)
