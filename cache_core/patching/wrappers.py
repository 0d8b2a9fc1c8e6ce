"""The four wrappers on a clone. They hold no state: it is found in the options they are given."""

from __future__ import annotations

import logging
import math
from typing import Any

from comfy.model_management import InterruptProcessingException
from comfy.patcher_extension import WrappersMP
from comfy.samplers import CFGGuider

from .hooks import weights_of
from .installation import KEY, Installation
from .model_call import ModelCall
from .parts import Pass, announced
from .room import with_room
from .run import RUN_KEY, Run
from .turns import TURNS

LOG = logging.getLogger("stepcache")


def outer_sample(executor: Any, *args: Any, **kwargs: Any) -> Any:
    """OUTER_SAMPLE: begin a run before the model is loaded, end it whatever happens."""
    guider = executor.class_obj
    options: dict[str, Any] = guider.model_options["transformer_options"]
    installation: Installation = options[KEY]
    sampler = kwargs["sampler"] if "sampler" in kwargs else args[2]
    sigmas = kwargs["sigmas"] if "sigmas" in kwargs else args[3]
    latent = tuple((kwargs["noise"] if "noise" in kwargs else args[0]).shape)
    name = _name_of(sampler)
    cfg = float(getattr(guider, "cfg", 1.0))
    has_one_branch = _has_one_branch(guider, name)
    patcher = guider.model_patcher
    run = Run(installation, patcher, sigmas, latent, name, cfg, has_one_branch)
    options[RUN_KEY] = run
    _stand_last(options)
    outcome = "finished"
    try:
        return with_room(executor, args, kwargs)
    except InterruptProcessingException:
        outcome = "interrupted"
        raise
    except BaseException as error:
        outcome = f"stopped by {type(error).__name__}"
        raise
    finally:
        options.pop(RUN_KEY, None)
        run.finish(outcome)
        LOG.info(run.report.summary())


def predict_noise(executor: Any, x: Any, timestep: Any, *args: Any, **kwargs: Any) -> Any:
    """PREDICT_NOISE: runs once per sampler evaluation, and tells the clock.

    Reading the sigma is the one moment at which the host waits for the device; it lies between
    evaluations, where samplers read it too.
    """
    model_options = kwargs["model_options"] if "model_options" in kwargs else args[0]
    run: Run | None = model_options["transformer_options"].get(RUN_KEY)
    if run is not None:
        run.start_evaluation(float(timestep.flatten()[0]))
    return executor(x, timestep, *args, **kwargs)


def apply_model(executor: Any, *args: Any, **kwargs: Any) -> Any:
    """APPLY_MODEL: patch the network for the length of this call."""
    call = ModelCall(args, kwargs)
    run: Run | None = call.options.get(RUN_KEY)
    if run is None:
        return executor(*args, **kwargs)
    network = _uncompiled(executor.class_obj.diffusion_model)
    hooks = getattr(executor.class_obj.current_patcher, "current_hooks", None)
    with TURNS.take():
        run.prove(network, call, executor)
        return run.answer(network, call, weights_of(hooks), executor)


def _uncompiled(network: Any) -> Any:
    """The network itself, where TorchCompileModel holds its compiled stand-in out to this call."""
    return getattr(network, "_orig_mod", network)


def calc_cond_batch(
    executor: Any, model: Any, conds: Any, x: Any, timestep: Any, options: Any, *args: Any
) -> Any:
    """CALC_COND_BATCH: one pass over all conditionings, of which guidance may leave one out."""
    run: Run | None = options.get("transformer_options", {}).get(RUN_KEY)

    def predict(some: Any) -> Any:
        return executor(model, some, x, timestep, options, *args)

    if run is None:
        return predict(conds)
    current = Pass.of(model, conds, tuple(x.shape), options, run.latent)
    with announced(options["transformer_options"], current):
        return run.guidance(model, conds, x, timestep, options, predict)


def _stand_last(options: dict[str, Any]) -> None:
    """For this run, let calls of the model come by us after all other nodes: as they arrive at the
    network, whoever cuts them into parts."""
    around: dict[str, Any] = options["wrappers"][WrappersMP.APPLY_MODEL]
    around[KEY] = around.pop(KEY)


def _has_one_branch(guider: Any, sampler: str) -> bool:
    """Whether the host will leave out the unconditional branch in every step.

    Guiders that predict in a way of their own are not asked; the report tells afterwards.
    """
    if getattr(type(guider), "predict_noise", None) is not CFGGuider.predict_noise:
        return False
    if guider.conds.get("negative") is None:
        return True
    # The samplers of CFG++ ask for both branches whatever the scale is.
    wants_both = guider.model_options.get("disable_cfg1_optimization") or "cfg_pp" in sampler
    return not wants_both and math.isclose(guider.cfg, 1.0)


def _name_of(sampler: Any) -> str:
    function = getattr(sampler, "sampler_function", None)
    name = getattr(function, "__name__", type(sampler).__name__)
    return name.removeprefix("sample_").removesuffix("_function")
