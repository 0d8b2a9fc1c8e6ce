"""One sampling run of a patched model: the session, the streams, and the modules behind sites."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any

import torch
from torch import nn

from ..calibration.recorder import Recorder
from ..calibration.session import WatchingSession
from ..clock import Timeline
from ..report import Report
from ..samplers import Sort
from ..session import Compute, Session
from ..sites import SiteKind
from ..streams import StreamCounter, StreamKey
from .calibration_run.measuring import MIN_STEPS, CalibrationRun
from .comfy_compiler import COMFY_COMPILER
from .compatibility.conflicts import refuse_neighbours
from .compatibility.injected import ejected
from .compatibility.lora_hooks import weights_of
from .compatibility.self_check import prove
from .evaluation.branches import Conds, Predict
from .evaluation.latent_parts import PASS, Shape
from .evaluation.sampling_scale import level_of, timeline_of
from .guard import guarded
from .installation import Installation
from .intercept.cache_fill import CacheFilling
from .intercept.deep_branch import swap_deep_branches
from .intercept.layers import swap_layers
from .intercept.module_swap import ModuleSwap
from .listeners import ProgressNotifier
from .model_call import ModelCall
from .networks import Networks
from .not_copied import NotPickled
from .passes import CondBatch, Passes
from .planned import Planned
from .remarks import (
    NO_SCALE,
    NOTHING_TO_COMPARE,
    ONE_STEP,
    OTHER_NETWORK,
    PROVED,
    STEP_BY_STEP,
    goes_step_by_step,
    on_guidance,
    on_layers,
)  # fmt: skip

RUN_KEY = "stepcache_run"
"""Under this key the current run stands in ``transformer_options`` while sampling."""


class Run(NotPickled):
    """State of one sampling run. Made when sampling starts, thrown away when it ends.

    Args:
        installation: what is attached to the model.
        model_patcher: the host's patcher that is about to sample.
        sigmas: the schedule, shape (steps + 1,).
        latent: shape of the latents.
        sampler: name of the sampler.
        sampler_sort: whether it adds noise.
        cfg: scale of guidance, 1 where there is none, None where it is not one number.
        has_one_branch: whether the host will leave out the unconditional branch in every step, so
            that plans need not wait for it.

    Raises:
        ConfigError: other nodes' patches and ours break each other.
        UnsupportedModelError: the model is not the one that the nodes were attached to.
    """

    def __init__(
        self,
        installation: Installation,
        model_patcher: Any,
        sigmas: torch.Tensor,
        latent: Shape,
        sampler: str,
        sampler_sort: Sort,
        cfg: float | None,
        has_one_branch: bool,
    ) -> None:
        self._installation = installation
        timeline = timeline_of(model_patcher.get_model_object("model_sampling"), sigmas)
        self._planned = Planned.of(installation, timeline, has_one_branch)
        self._assigned = self._planned.assigned
        refuse_neighbours(self._assigned, model_patcher.model_options)
        self._counter = StreamCounter()
        self._is_announced = False
        self._sigma: float | None = None
        self.latent = latent
        """Shape of the run's latents."""
        self._has_met_parts = False
        self.report = Report(
            methods=[method.describe() for method in self._planned.methods],
            family=installation.family,
            sampler=sampler,
            plans=self._planned.strips,
            timeline=timeline,
            layers={str(kind): count for kind, count in installation.facts.layers.items()},
            notes=[*installation.notes, *self._planned.notes],
            is_calibrating=installation.study is not None,
            idle=self._planned.idle or (ONE_STEP if timeline.steps == 1 else ""),
        )
        if goes_step_by_step(timeline, installation.mailbox.report):
            self._note(STEP_BY_STEP)
        self._calibration_run: CalibrationRun | None = None
        if installation.study is not None and timeline.steps >= MIN_STEPS:
            self._calibration_run = CalibrationRun(
                installation.study, installation.facts, self._assigned, timeline, self.report,
                model_patcher, 1.0 if cfg is None else cfg, sampler_sort,
            )  # fmt: skip
            if cfg is None:
                self._note(NO_SCALE)
        elif installation.study is not None:
            self._note(NOTHING_TO_COMPARE)
        self._prediction = self._planned.prediction
        self._recorder: Recorder | None = None
        self._session = self._session_for(timeline)
        self._passes = Passes(
            self._session, self._assigned, self._counter,
            model_patcher.get_model_object("model_sampling"), sampler_sort,
            installation.swaps_halves, self._calibration_run, self.report,
        )  # fmt: skip
        is_asked = self.report.is_calibrating
        sites = {s: is_asked or not r.when.never_reuses for s, r in self._assigned.items()}
        own, rows = model_patcher.model.diffusion_model, self._session.rows
        with ejected(model_patcher):
            self._networks = Networks(sites, installation, own, rows, self._note)
        self._notifier = ProgressNotifier(installation.listeners, self.report)
        self._notifier.step(None)

    def _session_for(self, timeline: Timeline) -> Session:
        if self._calibration_run is not None:
            return self._calibration_run.session
        if self._prediction is None:
            return Session(self._assigned, timeline, self.report)
        self.report.predicted = self._prediction.to_dict()
        self.report.dispatch_overhead = self._prediction.dispatch_overhead
        self._recorder = Recorder(timeline.steps, self._prediction.table.lookahead, depth=1)
        return WatchingSession(self._assigned, timeline, self.report, self._recorder)

    def compiler(self) -> AbstractContextManager[None]:
        """Around the run: ComfyUI's own compiler is off if values of layers outlive a call."""
        outside = (SiteKind.EVALUATION, SiteKind.GUIDANCE)
        keeps = self._calibration_run is not None or any(
            site.kind not in outside and not rule.when.never_reuses
            for site, rule in self._assigned.items()
        )
        return COMFY_COMPILER.off(self._note) if keeps else nullcontext()

    def start_evaluation(self, timestep: Any) -> None:
        """The sampler is about to evaluate the model at this noise level, shape (batch,)."""
        # Where it cannot be read, the calls of the model tell it.
        self._is_announced = False
        with guarded(self.report, "the beginning of an evaluation"):
            self._begin(level_of(timestep))
            self._is_announced = True

    def _begin(self, sigma: float) -> None:
        self._sigma = sigma
        self._session.start_evaluation(sigma, self._passes.begin(sigma))
        self._counter.start_evaluation()
        if self._calibration_run is not None:
            self._calibration_run.start_evaluation()
        self._notifier.step(self._session.clock.step)

    def _tell_time(self, sigmas: torch.Tensor) -> None:
        """For guiders that predict without the host's PREDICT_NOISE: the call knows the sigma."""
        if self._is_announced:
            return
        sigma = level_of(sigmas)
        if sigma != self._sigma:
            self._begin(sigma)

    def prove(
        self, diffusion_model: nn.Module, call: ModelCall, compute: Callable[..., Any]
    ) -> None:
        """Show in the first evaluation that a network known by its structure may be patched.

        Raises:
            UnsupportedModelError: it may not.
        """
        if not self._installation.needs_proof or self.report.evaluations > 1:
            return
        active = {
            site: layer
            for site, layer in self._networks.bound(diffusion_model).layers.items()
            if self._calibration_run is not None or not self._assigned[site].when.never_reuses
        }
        if not active:
            return
        owners = [method.name for method in self._installation.methods]
        rows = call.x.shape[0]
        prove(
            active, rows, lambda: compute(*call.fresh_args, **call.kwargs), owners, diffusion_model
        )
        self._note(PROVED)

    def apply_model(
        self, diffusion_model: nn.Module, call: ModelCall, hooks: Any, compute: Any
    ) -> Any:
        """One call of the model, patched.

        Args:
            hooks: those of LoRAs that the network has now.
            compute: the host's executor of the call.
        """
        with ExitStack() as stack:
            with guarded(self.report, "a call of the model") as entering:
                self._tell_time(call.options["sigmas"])
                weights = weights_of(hooks)
                streams = call.streams(self._counter, self.latent, id(diffusion_model), weights)
                # Also where somebody behind us cuts what guidance asks about as a whole.
                self._has_met_parts |= any(each.window or each.doubt for each in streams)
                if self._installation.swaps_halves:
                    half = len(streams) // 2
                    streams = streams[half:] + streams[:half]
                if self._calibration_run is None:
                    stack.enter_context(self._patched(diffusion_model, call, streams))
            if entering.failed:
                return compute(*call.given[0], **call.given[1])
            if self._calibration_run is not None:
                return self._calibrate(
                    self._calibration_run, diffusion_model, call, streams, compute
                )
            return compute(*call.args, **call.kwargs)

    def _calibrate(
        self,
        calibration_run: CalibrationRun,
        diffusion_model: nn.Module,
        call: ModelCall,
        streams: tuple[StreamKey, ...],
        compute: Any,
    ) -> Any:
        """The same while the model is calibrated: now and then one more call beside it."""
        x, sigma = call.x, call.sigma
        calibration_run.note_call(x, len(streams))
        beside = ModelCall(tuple(call.fresh_args), call.kwargs)

        def patched(some: ModelCall, compute: Compute) -> Any:
            with self._patched(diffusion_model, some, streams):
                return compute(*some.args, **some.kwargs)

        probed = calibration_run.probe(lambda: patched(beside, compute))
        with calibration_run.call(compute.class_obj):
            ask = self._session.timed_dispatch(lambda compute, *_: patched(call, compute))
            answer = ask(compute, (), {})
        if probed is not None:
            calibration_run.sensitivity.compare(*probed, x, sigma, answer)
        return answer

    @contextmanager
    def _patched(
        self, diffusion_model: nn.Module, call: ModelCall, streams: tuple[StreamKey, ...]
    ) -> Iterator[None]:
        """Patch the network for one call, and restore it whatever happens."""
        bound = self._networks.bound(diffusion_model)
        with ModuleSwap() as swap:
            filling = CacheFilling(self._installation.cache_fill)
            swap_layers(
                swap, call, self._session, self._counter, streams, bound.layers, bound.rows, filling
            )
            swap_deep_branches(
                swap, call, self._session, streams, bound.deep_branches, diffusion_model
            )
            filling.watch(swap, bound.fills)
            yield

    def calc_cond_batch(
        self,
        model: Any,
        conds: Conds,
        x: torch.Tensor,
        sigma: torch.Tensor,
        model_options: dict[str, Any],
        predict: Predict,
    ) -> list[torch.Tensor]:
        """One pass over the conditionings; arguments as of `CondBatch`."""
        batch: CondBatch | None = None
        with guarded(self.report, PASS):
            self._tell_time(sigma)
            assert self._sigma is not None
            batch = CondBatch(model, conds, x, sigma, self._sigma, model_options, predict)
        if batch is None:
            return predict(conds)
        return self._passes.calc_cond_batch(batch, is_lasting=not self._has_met_parts)

    def evaluated(self, x: torch.Tensor, denoised: torch.Tensor) -> None:
        """The sampler has been answered; arguments as of `Passes.finish_evaluation`."""
        self._passes.finish_evaluation(x, denoised)
        if self._calibration_run is not None and self._sigma is not None:
            with guarded(self.report, "an evaluation"):
                self._calibration_run.evaluated(self._sigma, x, denoised)

    def _note(self, remark: str) -> None:
        self.report.remark(remark)

    def finish(self, outcome: str) -> None:
        """End the run: drop every value, leave the report in the mailbox."""
        if not self.report.is_calibrating:
            for remark in on_guidance(self._planned, self._passes.has_met_both):
                self._note(remark)
            for remark in on_layers(self.report, outcome):
                self._note(remark)
        if self._networks.has_met_another:
            self._note(OTHER_NETWORK)
        if self._recorder is not None and self._prediction is not None:
            self.report.changes = self._recorder.beside(self._prediction.table)
        self._session.finish(outcome)
        if self._calibration_run is not None:
            self._installation.mailbox.calibration = self._calibration_run.finish(outcome)
        self._networks.clear()
        self._installation.mailbox.report = self.report
        self._notifier.step(None)
