"""What is done to a model instead: fewer steps, another sampler, the host's caches; its FLOPs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import comfy.samplers
import observe
from comfy.patcher_extension import WrappersMP

from .quality_hosts import END_PERCENT, NODES, START_PERCENT

SCHEDULER = "simple"


def fewer_steps(model: Any, steps: int, sampler: str) -> Any:
    """A clone that is sampled in so many steps by such a sampler, whatever the run asks for."""
    clone = model.clone()

    def sample(
        executor: Any, noise: Any, latent: Any, _: Any, sigmas: Any, *args: Any, **kwargs: Any
    ) -> Any:
        sampling = clone.get_model_object("model_sampling")
        fewer = comfy.samplers.calculate_sigmas(sampling, SCHEDULER, steps).to(sigmas)
        chosen = comfy.samplers.sampler_object(sampler)
        return executor(noise, latent, chosen, fewer, *args, **kwargs)

    clone.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, "fewer_steps", sample)
    return clone


def host_cache(model: Any, name: str, threshold: float) -> Any:
    """A clone with a cache of the host's, which is given copies of the network's input.

    In float32 EasyCache adds what it kept into the sampler's own latent.
    """
    clone = model.clone()

    def copied(executor: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
        return executor(x.clone(), *args, **kwargs)

    # Added first, so it stands outside of the cache.
    clone.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "copied", copied)
    return NODES[name].execute(clone, threshold, START_PERCENT, END_PERCENT, False).args[0]


@dataclass
class Meter:
    """FLOPs of the last sampling run, counted by PyTorch."""

    flops: int = 0


def metered(model: Any) -> tuple[Any, Meter]:
    """A clone whose sampling runs are counted."""
    clone, meter = model.clone(), Meter()

    def count(executor: Any, *args: Any, **kwargs: Any) -> Any:
        with observe.flop_counter() as counter:
            samples = executor(*args, **kwargs)
        meter.flops = counter.get_total_flops()
        return samples

    clone.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, "count_flops", count)
    return clone, meter
