"""One pass over the conditionings: what of it is answered from memory, and what is batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from ..report import Report
from ..rules import Rule
from ..samplers import Sort
from ..session import Session
from ..sites import Site, SiteKind
from ..streams import StreamCounter, StreamKey
from .calibration_run.measuring import CalibrationRun
from .compatibility.lora_hooks import advance
from .evaluation.branches import Branches, Conds, Predict
from .evaluation.evaluations import EVALUATION, Evaluations, streams_of
from .evaluation.guidance import BOTH, Guidance, stream_of
from .guard import guarded
from .remarks import NEEDS_BOTH


@dataclass(frozen=True, slots=True)
class CondBatch:
    """What the host is asked in one pass.

    Args:
        model: the host's model.
        conds: lists of conditioning entries, None for one that is left out.
        x: noisy latents, shape (batch, channels, …).
        sigma: noise level per row, shape (batch,).
        level: the same as a number.
        model_options: the host's.
        predict: asks the host; a missing list leaves that branch out.
    """

    model: Any
    conds: Conds
    x: torch.Tensor
    sigma: torch.Tensor
    level: float
    model_options: dict[str, Any]
    predict: Predict

    @property
    def options(self) -> dict[str, Any]:
        """Those of the transformer."""
        return self.model_options["transformer_options"]

    def advance(self) -> None:
        """Let LoRA hooks have the strengths of this noise level."""
        advance(self.model, self.conds, self.sigma, self.model_options)


class Passes:
    """The passes of one run, in which an evaluation or a branch of guidance may be left out.

    Args:
        assigned: the rule of every claimed site.
        counter: numbers streams.
        model_sampling: the host's.
        sampler: of which sort it is.
        swaps_halves: as for `Family`.
        calibration_run: of a run that is measured.
    """

    def __init__(
        self,
        session: Session,
        assigned: Mapping[Site, Rule],
        counter: StreamCounter,
        model_sampling: Any,
        sampler: Sort,
        swaps_halves: bool,
        calibration_run: CalibrationRun | None,
        report: Report,
    ) -> None:
        self._session, self._counter, self._report = session, counter, report
        self._swaps_halves, self._calibration_run = swaps_halves, calibration_run
        self._guidance = next((s for s in assigned if s.kind is SiteKind.GUIDANCE), None)
        self._ask = Branches(report.answers)
        site = next((s for s in assigned if s.kind is SiteKind.EVALUATION), None)
        self._evaluations: Evaluations | None = None
        if site is not None and not assigned[site].when.never_reuses:
            self._evaluations = Evaluations(session, site, model_sampling, sampler, report.remark)
        self.has_met_both = False
        """Whether a pass was about two branches."""

    def begin(self, sigma: float) -> float:
        """The sampler is about to evaluate at this noise level; its log(alpha / sigma), where
        anybody needs it."""
        if self._evaluations is None:
            return 0.0
        with guarded(self._report, EVALUATION):
            return self._evaluations.begin(sigma)
        # Where latents cannot be taken apart, there is nothing to carry.
        self._evaluations = None
        return 0.0

    def finish_evaluation(self, x: torch.Tensor, denoised: torch.Tensor) -> None:
        """An evaluation of these latents has been answered, guidance included."""
        if self._evaluations is not None:
            self._evaluations.finish_evaluation(x, denoised)

    def calc_cond_batch(self, batch: CondBatch, is_lasting: bool) -> list[torch.Tensor]:
        """The denoised latents for every list of conditionings.

        Args:
            is_lasting: whether what layers have frozen serves every call to come.
        """
        streams: tuple[StreamKey, ...] = ()
        if self._evaluations is not None:
            with guarded(self._report, EVALUATION):
                batch.advance()
                found = streams_of(batch.conds, batch.x, batch.level, batch.options)
                streams = self._counter.number(found)
        if self._evaluations is None or not streams:
            return self._guided(batch, is_lasting)
        return self._evaluations.predict(
            batch.conds, batch.x, streams, lambda: self._guided(batch, is_lasting)
        )

    def _guided(self, batch: CondBatch, is_lasting: bool) -> list[torch.Tensor]:
        """The same, of which a branch may be left out."""
        guidance: Guidance | None = None
        with guarded(self._report, BOTH) as preparing:
            guidance = self._guidance_of(batch, is_lasting)
        if guidance is None or preparing.failed:
            return batch.predict(batch.conds)
        answers = guidance.predict(batch.predict, self._ask)
        with guarded(self._report, BOTH) as joining:
            answers = guidance.joined(answers)
            if self._calibration_run is not None:
                self._calibration_run.sensitivity.guided(batch.x, batch.sigma, answers)
        is_lacking = joining.failed and guidance.is_alone
        return guidance.both(batch.predict, self._ask) if is_lacking else answers

    def _guidance_of(self, batch: CondBatch, is_lasting: bool) -> Guidance | None:
        """What is asked and what is kept of both branches; None where that is not ours to say."""
        # One list is the pass of another guidance (PAG, SLG) or CFG 1, three are another guider.
        if len(batch.conds) != 2 or None in batch.conds:
            return None
        self.has_met_both = True
        site = self._guidance
        if site is None:
            return None
        if self._swaps_halves and batch.x.shape[0] > 1:
            # One branch alone would have its latents exchanged with each other.
            self._report.remark(NEEDS_BOTH)
            return None
        batch.advance()
        found = stream_of(batch.conds, batch.x, batch.level, batch.options)
        (stream,) = self._counter.number([found])
        return Guidance(
            self._session, site, stream, batch.conds, batch.x, batch.sigma, batch.model,
            is_lasting, self._report.remark,
        )  # fmt: skip
