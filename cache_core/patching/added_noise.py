"""Whether a sampler adds noise of its own: the host's by name, others by where their steps lead."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch

from .guider import name_of
from .sampling_scale import Scale

Sort = Literal[
    "one step", "multistep", "high order", "adds noise", "CFG++", "CFG++ of EPS",
    "chooses its steps", "unknown",
]  # fmt: skip
"""Solvers of the ODE that step on from one answer, from several, or from differences of differences
of them; those that add noise; those that move all of the guidance at once, for any model or for
models whose latents hold the whole picture; others."""

ONE_STEP = frozenset({"euler", "heun", "exp_heun_2_x0", "dpm_2"})

MULTISTEP = frozenset({
    "dpmpp_2m", "deis", "res_multistep", "gradient_estimation", "unipc", "unipc_bh2",
})  # fmt: skip

HIGH_ORDER = frozenset({"lms", "ipndm", "ipndm_v", "dpm_fast", "heunpp2"})
"""They amplify the jump to a computed answer most: on training captions a quarter of the line's
slope was nearer than half of it by 2.3 to 3.7 dB on the UNet, and farther by up to 4.4 dB on the
DiT, where both are ahead of holding the picture."""

ADDING = frozenset({
    "euler_ancestral", "exp_heun_2_x0_sde", "dpm_2_ancestral", "dpmpp_2s_ancestral", "dpmpp_sde",
    "dpmpp_sde_gpu", "dpmpp_2m_sde", "dpmpp_2m_sde_gpu", "dpmpp_2m_sde_heun",
    "dpmpp_2m_sde_heun_gpu", "dpmpp_3m_sde", "dpmpp_3m_sde_gpu", "ddpm", "lcm",
    "res_multistep_ancestral", "er_sde", "seeds_2", "seeds_3", "sa_solver", "sa_solver_pece",
})  # fmt: skip

CFG_PP = frozenset({"euler_cfg_pp", "euler_ancestral_cfg_pp"})

CFG_PP_OF_EPS = frozenset({
    "dpmpp_2s_ancestral_cfg_pp", "dpmpp_2m_cfg_pp", "res_multistep_cfg_pp",
    "res_multistep_ancestral_cfg_pp", "gradient_estimation_cfg_pp",
})  # fmt: skip
"""The host's formulas of these know no alpha."""

LEAST_NOISE = 0.3
"""Of all the noise that may be exchanged in a step: a step of a multistep sampler misses the
straight one by less than a tenth of it, one that exchanges the noise in full by all of it."""

ROUNDINGS = 16
"""Of latents that no step has moved: as many of their own type are no noise."""


def sort_of(sampler: Any) -> Sort:
    """What kind of sampler the host's object is, with its options."""
    name, options = name_of(sampler), getattr(sampler, "extra_options", None) or {}
    if name == "dpm_adaptive":
        return "chooses its steps"
    if name in CFG_PP:
        return "CFG++"
    if name in CFG_PP_OF_EPS:
        return "CFG++ of EPS"
    if name in MULTISTEP:
        return "multistep"
    if name in HIGH_ORDER:
        return "high order"
    if name in ONE_STEP:
        return "adds noise" if options.get("s_churn") else "one step"
    if name in ADDING:
        is_off = name != "lcm" and 0 in (options.get("eta", 1), options.get("s_noise", 1))
        # Some of them go on from several answers.
        return "multistep" if is_off else "adds noise"
    return "unknown"


@dataclass(frozen=True, slots=True)
class Landing:
    """Where the sampler will be after a step that adds no noise, to first order.

    Args:
        x: noisy latents of an evaluation.
        denoised: what it said, guidance included.
        scale: of the latents then.
    """

    x: torch.Tensor
    denoised: torch.Tensor
    scale: Scale

    def misses(self, x: torch.Tensor, scale: Scale) -> bool:
        """Whether the latents of a later evaluation hold noise that this one did not. Waits for
        the device."""
        noise = (self.x - self.denoised * self.scale.alpha) / self.scale.sigma
        expected = self.denoised * scale.alpha + noise * scale.sigma
        lengths = torch.stack([(x - expected).float(), expected.float()]).flatten(1)
        missed, size = lengths.square().mean(1).sqrt().tolist()
        exchanged = 1 - (scale.sigma * self.scale.alpha) / (self.scale.sigma * scale.alpha)
        least = LEAST_NOISE * scale.sigma * math.sqrt(max(exchanged, 0.0))
        return bool(missed > least + ROUNDINGS * torch.finfo(x.dtype).eps * size)
