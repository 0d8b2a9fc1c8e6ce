"""Whole evaluations with a guard: each that is computed is compared with its forecast."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, cast
from unittest.mock import patch

import numpy as np
import torch
from stepcache.cache_core.approximators import Reuse
from stepcache.cache_core.decisions import Decision
from stepcache.cache_core.patching import passes
from stepcache.cache_core.patching.branches import Conds
from stepcache.cache_core.patching.evaluations import Evaluations
from stepcache.cache_core.plan import Plan
from stepcache.cache_core.streams import StreamKey

ALARM = "the newest forecast would have missed by too much"
Ratio = Literal["change", "seen", "answer", "back"]

TINY = 1e-12
"""A change of nothing, as a divisor."""


@dataclass(frozen=True)
class Miss:
    """By how much the forecast of a computed evaluation misses it, as ratios of RMS.

    Args:
        change: to the change since the newest computed evaluation.
        seen: to the mean of all misses before; 0 for the first.
        answer: of the guided denoised latents, to what was computed.
        back: how far what was computed goes back against the change before it, in lengths of that;
            no miss, but where misses grow it does.
    """

    change: float
    seen: float
    answer: float
    back: float


@dataclass(frozen=True)
class Guard:
    """Alarms where a ratio of `Miss` is above a bound."""

    ratio: Ratio
    bound: float

    def __str__(self) -> str:
        return f"{self.ratio} > {self.bound:g}"

    def alarms(self, miss: Miss) -> bool:
        return getattr(miss, self.ratio) > self.bound


class Guarded(Evaluations):
    """Evaluations with a guard.

    Args:
        guard: None for one that never alarms.
        cfg: scale of guidance.
        misses: takes what was compared.
        given: as of `Evaluations`.
    """

    def __init__(self, guard: Guard | None, cfg: float, misses: list[Miss], *given: Any) -> None:
        super().__init__(*given)
        self._guard, self._cfg, self._misses = guard, cfg, misses
        self._missed: list[float] = []
        self._is_alarmed = False

    def _decide(self, streams: Sequence[StreamKey]) -> Decision:
        decision = super()._decide(streams)
        if not (decision.reuse and self._is_alarmed):
            return decision
        self._is_alarmed = False
        return Decision(reuse=False, forced=ALARM)

    def _record(
        self,
        answers: list[torch.Tensor],
        conds: Conds,
        x: torch.Tensor,
        streams: Sequence[StreamKey],
        decision: Decision,
    ) -> None:
        self._compare(answers, x, streams)
        super()._record(answers, conds, x, streams, decision)

    def _compare(
        self, answers: list[torch.Tensor], x: torch.Tensor, streams: Sequence[StreamKey]
    ) -> None:
        session, what = self._session, self._what
        entries = [session.store.get(self._site, stream) for stream in streams]
        step = session.clock.step
        known = [e for e in entries if e and len(e.past) >= what.needs and e.step != step]
        if len(known) != len(answers):
            return
        forecasts: list[torch.Tensor] = []
        changes: list[float] = []
        missed: list[float] = []
        back: list[float] = []
        for entry, denoised in zip(known, answers, strict=True):
            reuse = Reuse(session.clock, Plan(()), None, entry.times)
            value = cast(torch.Tensor, what.approximate(entry.past, reuse)[0])
            computed = self._carried(denoised, x)
            older, newer = (cast(torch.Tensor, each) for each in entry.past[-2:])
            before, now = newer - older, computed - newer
            changes.append(_rms(now))
            back.append(-float((before * now).sum() / before.square().sum().clamp(min=TINY)))
            missed.append(_rms(computed - value))
            forecasts.append(self._denoised(value, x))
        answer = self._guided(answers)
        miss = Miss(
            max(m / max(c, TINY) for m, c in zip(missed, changes, strict=True)),
            max(missed) / float(np.mean(self._missed)) if self._missed else 0.0,
            _rms(self._guided(forecasts) - answer) / _rms(answer),
            max(back),
        )
        self._missed.append(max(missed))
        self._misses.append(miss)
        self._is_alarmed = self._guard is not None and self._guard.alarms(miss)

    def _guided(self, each: list[torch.Tensor]) -> torch.Tensor:
        first, *others = each
        return first.lerp(others[0], 1 - self._cfg) if others else first


def _rms(values: torch.Tensor) -> float:
    return float(values.square().mean().sqrt())


@contextmanager
def guarded(guard: Guard | None, cfg: float) -> Iterator[list[Miss]]:
    """Runs have a guard; yields what it compares."""
    misses: list[Miss] = []
    with patch.object(passes, "Evaluations", partial(Guarded, guard, cfg, misses)):
        yield misses
