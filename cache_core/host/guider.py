"""What is read of guiders and samplers, of which other packs bring their own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from comfy.samplers import CFGGuider


def sigmas_in(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """The noise levels among the arguments of an OUTER_SAMPLE wrapper."""
    return kwargs["sigmas"] if "sigmas" in kwargs else args[3]


def latent_in(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[int, ...]:
    """Shape of the latents among the arguments of an OUTER_SAMPLE wrapper: that of the noise."""
    return tuple((kwargs["noise"] if "noise" in kwargs else args[0]).shape)


def has_steps(sigmas: Any) -> bool:
    """Whether a run has any step; the last part of a schedule that was split may have none."""
    return len(sigmas) > 1


def scale_of(guider: Any) -> float | None:
    """The scale of guidance, 1 where there is none; None where it is not one number."""
    try:
        scale = float(getattr(guider, "cfg", 1.0))
    except Exception:
        # Lists with a scale for every step, tensors, objects of other packs.
        return None
    return scale if math.isfinite(scale) else None


def has_one_branch(guider: Any, sampler: str) -> bool:
    """Whether the host will leave out the unconditional branch in every step.

    Guiders that predict in a way of their own are not asked; the report tells afterwards.
    """
    if getattr(type(guider), "predict_noise", None) is not CFGGuider.predict_noise:
        return False
    conds = getattr(guider, "conds", None)
    if not isinstance(conds, Mapping):
        return False
    if conds.get("negative") is None:
        return True
    # The samplers of CFG++ ask for both branches whatever the scale is.
    wants_both = guider.model_options.get("disable_cfg1_optimization") or "cfg_pp" in sampler
    scale = scale_of(guider)
    return not wants_both and scale is not None and math.isclose(scale, 1.0)


def name_of(sampler: Any) -> str:
    """What people call a sampler."""
    function = getattr(sampler, "sampler_function", None)
    name = getattr(function, "__name__", type(sampler).__name__)
    return str(name).removeprefix("sample_").removesuffix("_function")
