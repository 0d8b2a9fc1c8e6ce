"""A calibrating run: when to measure what, and the calibration that comes of it."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from comfy.model_management import InterruptProcessingException

from ...calibration import Calibration, Costs, ErrorTable, ModelFacts, Place, RunFacts, Study
from ...calibration.choose import scheduled
from ...calibration.meter import Meter, Steps
from ...calibration.recorder import Recorder
from ...calibration.session import CalibratingSession
from ...clock import Timeline
from ...errors import StepCacheError
from ...report import Report
from ...rules import Rule
from ...samplers import Sort
from ...sites import Site, SiteKind
from ..compatibility.fingerprint import device_name, is_compiled, scheduler_of, shift_of
from .noise_estimates import NoiseEstimates
from .probes import probing_steps, same_draws, timed_steps
from .sensitivity import Sensitivity

LOG = logging.getLogger("stepcache")

NO_PLANS = (
    "what Step Cache plans by was not measured, because the sampler adds noise, guides by "
    "CFG++, or may do so; for that calibrate with one that does not, such as euler"
)
MIN_STEPS = 2
"""Steps of a run that has something to compare."""


class CalibrationRun:
    """Measures one run.

    Args:
        study: what is asked for.
        facts: the model.
        assigned: every site of it.
        timeline: the run's schedule.
        report: the run's report.
        model_patcher: the host's patcher that is about to sample.
        cfg: scale of guidance.
        sampler: whether it adds noise.
    """

    def __init__(
        self,
        study: Study,
        facts: ModelFacts,
        assigned: Mapping[Site, Rule],
        timeline: Timeline,
        report: Report,
        model_patcher: Any,
        cfg: float,
        sampler: Sort,
    ) -> None:
        self._study, self._facts, self._report = study, facts, report
        self._timeline, self._cfg = timeline, cfg
        self._sampling = model_patcher.get_model_object("model_sampling")
        self._recorder = Recorder(timeline.steps, study.lookahead, study.average)
        self._meter = Meter(model_patcher.load_device)
        self.session = CalibratingSession(assigned, timeline, report, self._recorder, self._meter)
        self._assigned = assigned
        self._groups: dict[int, tuple[str, frozenset[Site]]] = {}
        self._timed = frozenset[int]()
        self.sensitivity = Sensitivity(self._sampling, cfg, self._meter)
        self._own: list[tuple[int, float]] = []
        self._noise: NoiseEstimates | None = None
        if sampler not in ("one step", "multistep", "high order"):
            report.remark(NO_PLANS)
        elif timeline.half_log_snrs:
            self._noise = NoiseEstimates(self._sampling, timeline.half_log_snrs)
        self._latent: tuple[int, ...] = ()
        self._rows = 0

    def start_evaluation(self) -> None:
        """The session has been told the time."""
        step = self.session.clock.step
        self._own.append((step, self._meter.own_seconds))
        if len(self._own) == 2:
            shares = self._meter.flop_shares()
            self._groups = probing_steps(self._assigned, self._timeline.steps, shares)
            self._timed = timed_steps(self._timeline.steps, self._groups)
            self._note_on_unprobed()
        self._meter.step = step
        self._meter.is_timing = step in self._timed
        _, now = self._groups.get(step, ("", frozenset[Site]()))
        _, following = self._groups.get(step + 1, ("", frozenset[Site]()))
        self.session.keep(following if self._fits(following) else frozenset(), still=now)

    def _note_on_unprobed(self) -> None:
        probed = {name for name, _ in self._groups.values()}
        if probed and probed.isdisjoint(("layers", "attention", "block")):
            self._note(
                f"how much changes of layers matter was not measured, which would take too long in "
                f"{self._timeline.steps} steps: predictions count them in full"
            )

    def _fits(self, sites: frozenset[Site]) -> bool:
        size = self.session.nbytes_of(sites)
        if size <= self._study.memory:
            return True
        self._note(
            f"how much changes matter was not measured for some layers: their values take "
            f"{size / 2**20:.0f} MiB; raise memory on SmoothCache Calibrate"
        )
        return False

    def call(self, model: Any) -> AbstractContextManager[None]:
        """Around a call of the run's model: operations in the first evaluation, then seconds."""
        if len(self._own) > 1:
            is_timed = self._meter.is_timing
            return self._meter.timing(self._meter.calls) if is_timed else nullcontext()
        return nullcontext() if is_compiled(model.diffusion_model) else self._meter.counting_flops()

    def probe(self, compute: Callable[[], Any]) -> tuple[str, Any] | None:
        """One more call of the network, in which the group whose turn it is answers from before.

        Returns:
            Name of the group, and what the network answered; None without a call.
        """
        step = self.session.clock.step
        group = self._groups.get(step)
        is_first = [other for other, _ in self._own].count(step) == 1
        if group is None or not is_first:
            return None
        name, sites = group
        seconds = self._meter.probed[name]
        if not self.session.holds(sites):
            seconds[step] = math.inf
            return None
        try:
            with (
                self._meter.not_counted(),
                # There is one generator for all threads: it is left alone where nothing draws.
                nullcontext() if self._meter.draws is False else same_draws(self._meter.device),
                self.session.probing(sites),
                self._meter.timing(seconds),
            ):
                return name, compute()
        except InterruptProcessingException:
            raise
        except Exception as error:
            # Of several calls of a step some would tell too little.
            seconds[step] = math.inf
            # Memory may not suffice for two calls where it does for one.
            LOG.warning("SmoothCache Calibrate: probing %s failed: %s", name, str(error))
            self._note(
                f"how much changes of {name} matter was not measured ({type(error).__name__}); the "
                f"picture is as without it"
            )
            return None

    def note_call(self, x: torch.Tensor, streams: int) -> None:
        """The latents of a model call."""
        self._latent = tuple(x.shape[1:])
        self._rows = max(self._rows, x.shape[0] // streams)

    def evaluated(self, sigma: float, x: torch.Tensor, denoised: torch.Tensor) -> None:
        """The sampler has been answered; arguments as of `NoiseEstimates.take`."""
        if self._noise is not None:
            with self._meter.not_counted():
                self._noise.take(self.session.clock.step, sigma, x, denoised)

    def finish(self, outcome: str) -> Calibration | None:
        """The run is over: make the calibration and hand it out. Never raises on its account.

        Returns:
            What is known now; None where nothing could be kept, which the report then says.
        """
        try:
            known, remarks = self._study.deliver(self._calibration(outcome == "finished"))
        except StepCacheError as error:
            LOG.warning("%s", str(error))
            self._note(str(error))
            return None
        except Exception as error:
            LOG.exception("SmoothCache Calibrate: what was measured is lost")
            self._note(
                f"SmoothCache Calibrate: what was measured is lost by an error in Step Cache "
                f"({type(error).__name__}: {error}); the picture is as without it. Please report "
                f"it with the log"
            )
            return None
        finally:
            self._recorder.forget()
        for remark in remarks:
            self._note(remark)
        return known

    def _calibration(self, has_finished: bool) -> Calibration:
        # The step in which a run was stopped has not been compared yet, and may not be whole.
        steps = self._timeline.steps if has_finished else self._recorder.measured_steps + 1
        if steps < MIN_STEPS:
            raise StepCacheError(
                "SmoothCache Calibrate: the run was stopped before two steps were done; nothing "
                "was kept. Sample again"
            )
        if not self.session.has_met(steps):
            raise StepCacheError(
                f"SmoothCache Calibrate: the sampler {self._report.sampler} did not evaluate the "
                f"model at every step of the schedule, so that steps cannot be compared; nothing "
                f"was kept. Calibrate with a sampler that does, such as euler"
            )
        rows = self._complete(self._recorder.rows(self._study.with_layers), steps)
        if not any(place.kind is not SiteKind.GUIDANCE for place in rows):
            raise StepCacheError(
                "SmoothCache Calibrate: no kind of layer could be compared from step to step; "
                "nothing was kept. Calibrate without what changes sizes, prompts or weights in the "
                "middle of a run"
            )
        table = ErrorTable(self._timeline.sigmas[: steps + 1], self._study.lookahead, rows)
        self._note(
            f"calibration kept {self._recorder.peak_nbytes / 2**20:.1f} MiB of values to compare "
            f"and at most {self.session.peak_nbytes / 2**20:.1f} MiB of whole ones"
        )
        sigmas = torch.tensor(self._timeline.sigmas)
        calibration = Calibration(
            model=self._facts,
            run=RunFacts(
                sampler=self._report.sampler,
                scheduler=scheduler_of(self._sampling, sigmas),
                cfg=self._cfg,
                latent=self._latent,
                shift=shift_of(self._sampling),
            ),
            table=table,
            samples=self._rows,
            average=self._study.average,
            costs=self._costs(),
            influence=self.sensitivity.by_group(table, self._probed_at),
            noise=self._noise.changes() if self._noise is not None and has_finished else None,
            is_whole=has_finished,
        )
        return scheduled(calibration)

    def _complete(
        self, rows: Mapping[Place, tuple[tuple[float, ...], ...]], steps: int
    ) -> dict[Place, tuple[tuple[float, ...], ...]]:
        """The rows of so many steps; those that were not measured throughout are left out.

        Raises:
            StepCacheError: a layer returned something that is not a number.
        """
        complete: dict[Place, tuple[tuple[float, ...], ...]] = {}
        for place, lags in rows.items():
            lags = tuple(row[: max(steps - lag, 0)] for lag, row in enumerate(lags, start=1))
            for row in lags:
                wrong = next((source for source, each in enumerate(row) if math.isnan(each)), None)
                if wrong is not None:
                    raise StepCacheError(
                        f"SmoothCache Calibrate: {place.kind} returned values that are not numbers "
                        f"(NaN) about step {wrong}; nothing was kept. The picture will be black "
                        f"too: try another weight_dtype or fewer patches"
                    )
            if all(math.isfinite(each) for row in lags for each in row):
                complete[place] = lags
            elif place.branch == "both":
                self._note(
                    f"{place.kind} is left out: it did not run in every step, or its size, prompts "
                    f"or weights changed"
                )
        return complete

    def _costs(self) -> Costs:
        seconds = dict(self._report.step_seconds)
        for (step, own), (_, after) in zip(
            self._own, [*self._own[1:], (0, self._meter.own_seconds)], strict=True
        ):
            seconds[step] = seconds.get(step, 0.0) - (after - own)
        steps = Steps(
            seconds,
            evaluations=Counter(step for step, _ in self._own),
            timed=self._timed & seconds.keys(),
        )
        asking = self._meter.asking_shares(steps)
        return Costs(
            flops=self._meter.flop_shares(),
            seconds=self._meter.second_shares(steps),
            keeping=self._meter.keeping_shares(steps),
            together=self._meter.layers_share(steps),
            asking={part: share for part, share in asking.items() if part is not None},
            patching=asking.get(None, 0.0),
            device=device_name(self._meter.device),
        )

    @property
    def _probed_at(self) -> dict[str, int]:
        """The step in which each group has its turn."""
        return {name: step for step, (name, _) in self._groups.items()}

    def _note(self, remark: str) -> None:
        if remark not in self._report.notes:
            self._report.notes.append(remark)
