"""The four wrappers on a clone. They hold no state: it is found in the options they are given."""

from __future__ import annotations

import logging
from typing import Any

from comfy.model_management import InterruptProcessingException

from .guider import has_one_branch, has_steps, name_of, scale_of, sigmas_in
from .hooks import weights_of
from .installation import KEY, Installation
from .model_call import ModelCall
from .remarks import empty_report
from .room import with_room
from .run import RUN_KEY, Run

LOG = logging.getLogger("stepcache")


def outer_sample(executor: Any, *args: Any, **kwargs: Any) -> Any:
    """OUTER_SAMPLE: begin a run before the model is loaded, end it whatever happens."""
    guider = executor.class_obj
    options: dict[str, Any] = guider.model_options["transformer_options"]
    installation: Installation = options[KEY]
    sampler = kwargs["sampler"] if "sampler" in kwargs else args[2]
    sigmas = sigmas_in(args, kwargs)
    name = name_of(sampler)
    if not has_steps(sigmas):
        installation.mailbox.report = empty_report(installation, name)
        return executor(*args, **kwargs)
    run = Run(
        installation, guider.model_patcher, sigmas, name, scale_of(guider),
        has_one_branch(guider, name),
    )  # fmt: skip
    options[RUN_KEY] = run
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
    run.prove(network, call, executor)
    hooks = getattr(executor.class_obj.current_patcher, "current_hooks", None)
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
    return run.guidance(model, conds, x, timestep, options, predict)
