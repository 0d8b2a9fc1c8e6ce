"""The four wrappers and the callback on a clone. What they know of a run is in the options they are
given, or told to their thread."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

from comfy.model_management import InterruptProcessingException
from comfy.patcher_extension import WrappersMP

from .evaluation.added_noise import sort_of
from .evaluation.latent_parts import PASS, Pass, announced
from .guard import guarded
from .guider import has_one_branch, has_steps, latent_in, name_of, scale_of, sigmas_in
from .installation import KEY, Installation, Mailbox, installation_of
from .large_frame import with_large_frame
from .model_call import ModelCall
from .remarks import NO_STEP, SECOND_MODEL, empty_report
from .run import RUN_KEY, Run
from .settings_lock import SETTINGS_LOCK

LOG = logging.getLogger("stepcache")

SAMPLING: ContextVar[tuple[Mailbox, ...]] = ContextVar("stepcache_sampling", default=())
"""Of the models whose settings rule the runs that are going on, one in the other."""


def outer_sample(executor: Any, *args: Any, **kwargs: Any) -> Any:
    """OUTER_SAMPLE: begin a run before the model is loaded, end it whatever happens."""
    guider = executor.class_obj
    options: dict[str, Any] = guider.model_options["transformer_options"]
    installation = options.get(KEY)
    if not isinstance(installation, Installation):
        LOG.warning("Step Cache: another node dropped the settings of this model; it runs as it is")
        return executor(*args, **kwargs)
    token = SAMPLING.set((*SAMPLING.get(), installation.mailbox))
    try:
        return _sampled(executor, installation, guider, args, kwargs)
    finally:
        SAMPLING.reset(token)


def _sampled(
    executor: Any,
    installation: Installation,
    guider: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    run = _begun(installation, guider, args, kwargs)
    if run is None:
        return executor(*args, **kwargs)
    options: dict[str, Any] = guider.model_options["transformer_options"]
    options[RUN_KEY] = run
    outcome = "finished"
    try:
        with run.compiler():
            return with_large_frame(executor, args, kwargs)
    except InterruptProcessingException:
        outcome = "interrupted"
        raise
    except BaseException as error:
        outcome = f"stopped by {type(error).__name__}"
        raise
    finally:
        options.pop(RUN_KEY, None)
        with guarded(run.report, "the end of the run"):
            run.finish(outcome)
        LOG.info(run.report.summary())


def _begun(
    installation: Installation, guider: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Run | None:
    """The run that begins; None where nothing of it is ours, which the report then says."""
    report = empty_report(installation, "unknown")
    with guarded(report, "the run"):
        sampler = kwargs["sampler"] if "sampler" in kwargs else args[2]
        sigmas = sigmas_in(args, kwargs)
        report.sampler = name_of(sampler)
        if has_steps(sigmas):
            sort = sort_of(sampler)
            has_one = has_one_branch(guider, report.sampler)
            scale = scale_of(guider)
            latent, patcher = latent_in(args, kwargs), guider.model_patcher
            _stand_last(guider.model_options["transformer_options"])
            return Run(installation, patcher, sigmas, latent, report.sampler, sort, scale, has_one)
        report.idle = NO_STEP
    report.idle = report.idle or report.notes[-1]
    installation.mailbox.report = report
    LOG.info(report.summary())
    return None


def pre_run(patcher: Any) -> None:
    """ON_PRE_RUN: the model is about to be asked. In a run under the settings of another one, which
    wrap nothing of ours around it, the report says so."""
    installation = installation_of(patcher)
    if not isinstance(installation, Installation):
        # Another node has put something in its place, which `outer_sample` tells.
        return
    if any(box is installation.mailbox for box in SAMPLING.get()):
        return
    report = empty_report(installation, "unknown")
    report.idle = SECOND_MODEL
    installation.mailbox.report = report
    LOG.warning(report.summary())


def predict_noise(executor: Any, x: Any, timestep: Any, *args: Any, **kwargs: Any) -> Any:
    """PREDICT_NOISE: runs once per sampler evaluation, and tells the clock.

    Reading the sigma is the one moment at which the host waits for the device; it lies between
    evaluations, where samplers read it too.
    """
    model_options = kwargs["model_options"] if "model_options" in kwargs else args[0]
    run = _run_in(_inner(model_options))
    if run is not None:
        run.start_evaluation(timestep)
    denoised = executor(x, timestep, *args, **kwargs)
    if run is not None:
        run.evaluated(x, denoised)
    return denoised


def apply_model(executor: Any, *args: Any, **kwargs: Any) -> Any:
    """APPLY_MODEL: patch the network for the length of this call."""
    call = ModelCall(args, kwargs)
    run = _run_in(call.options)
    if run is None:
        return executor(*args, **kwargs)
    network = _uncompiled(executor.class_obj.diffusion_model)
    patcher = getattr(executor.class_obj, "current_patcher", None)
    hooks = getattr(patcher, "current_hooks", None)
    with SETTINGS_LOCK.take():
        run.prove(network, call, executor)
        return run.apply_model(network, call, hooks, executor)


def _inner(options: Any) -> Any:
    """Those of the transformer among a model's options."""
    return options.get("transformer_options") if isinstance(options, Mapping) else None


def _run_in(options: Any) -> Run | None:
    """The run that is going on, if these are its options."""
    run = options.get(RUN_KEY) if isinstance(options, Mapping) else None
    return run if isinstance(run, Run) else None


def _uncompiled(network: Any) -> Any:
    """The network itself, where TorchCompileModel holds its compiled stand-in out to this call."""
    return getattr(network, "_orig_mod", network)


def calc_cond_batch(
    executor: Any, model: Any, conds: Any, x: Any, timestep: Any, options: Any, *args: Any
) -> Any:
    """CALC_COND_BATCH: one pass over all conditionings, of which guidance may leave one out."""
    run = _run_in(_inner(options))

    def predict(some: Any) -> Any:
        return executor(model, some, x, timestep, options, *args)

    if run is None:
        return predict(conds)
    current = Pass(latent=None)
    with guarded(run.report, PASS):
        current = Pass.of(model, conds, tuple(x.shape), options, run.latent)
    with announced(_inner(options), current):
        return run.calc_cond_batch(model, conds, x, timestep, options, predict)


def _stand_last(options: dict[str, Any]) -> None:
    """For this run, let calls of the model come by us after all other nodes: as they arrive at the
    network, whoever cuts them into parts."""
    around: dict[str, Any] = options["wrappers"][WrappersMP.APPLY_MODEL]
    around[KEY] = around.pop(KEY)
