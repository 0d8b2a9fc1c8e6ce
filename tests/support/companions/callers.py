"""Doubles of packs that hand on what hosts seldom get: copied options, a scale for every step."""

from __future__ import annotations

import copy
from typing import Any, cast

import comfy.samplers
import torch
from comfy.patcher_extension import WrappersMP

from .companion import EVERY, PAIR, Companion, Conds


def copying_options(model: Any) -> Any:
    """Every evaluation gets a deep copy of the model's options, and its answer is weakened."""
    clone = model.clone()

    def evaluate(executor: Any, x: Any, time: Any, options: Any, *args: Any, **kwargs: Any) -> Any:
        return 0.9 * executor(x, time, copy.deepcopy(options), *args, **kwargs)

    clone.add_wrapper_with_key(WrappersMP.PREDICT_NOISE, "copies", evaluate)
    return clone


class ScaledByStep(comfy.samplers.CFGGuider):
    """Guidance with a list in place of the scale."""

    def predict_noise(
        self, x: torch.Tensor, timestep: torch.Tensor, model_options: dict | None = None,
        seed: int | None = None,
    ) -> torch.Tensor:  # fmt: skip
        options, scales = model_options or {}, cast(Any, self.cfg)
        sigmas = options["transformer_options"]["sample_sigmas"]
        step = int((sigmas[:-1] - timestep.flatten()[0]).abs().argmin())
        return comfy.samplers.sampling_function(
            self.inner_model, x, timestep, self.conds["negative"], self.conds["positive"],
            scales[step], model_options=options, seed=seed,
        )  # fmt: skip


def scaled_by_step(model: Any, conds: Conds) -> ScaledByStep:
    guider = ScaledByStep(model)
    guider.set_conds(*conds)
    guider.cfg = [4.0, 3.0, 2.5, 2.0]
    return guider


CALLERS = [
    Companion(
        "options copied deeply", EVERY, ("FasterCache", "TGate", "DeepCache", "SmoothCache"),
        copying_options,
    ),
    Companion(
        "a scale for every step", PAIR, ("FasterCache", "TGate", "DeepCache"),
        guide=scaled_by_step,
    ),
]  # fmt: skip
