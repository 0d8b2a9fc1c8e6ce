"""Doubles of guiders that ask for one prompt in several passes, as LTX-Video's own nodes do."""

from __future__ import annotations

from typing import Any

import comfy.ldm.modules.attention as attention
import comfy.samplers
import torch

from .companion import Companion, Conds


class _Perturbed:
    """While this lasts, the first attention that anybody calls returns its values as they are.

    The pack exchanges the host's function around one block, and counts its calls.
    """

    def __enter__(self) -> None:
        self._own = attention.optimized_attention
        self._calls = 0
        attention.optimized_attention = self._attend

    def __exit__(self, *_: Any) -> None:
        attention.optimized_attention = self._own

    def _attend(self, q: Any, k: Any, v: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        self._calls += 1
        return v if self._calls == 1 else self._own(q, k, v, *args, **kwargs)


class SpatioTemporalGuider(comfy.samplers.CFGGuider):
    """Positive, negative and perturbed, one pass each; in some steps the perturbed one comes first.

    Args:
        model: the host's patcher.
        block: of which attention is perturbed.
    """

    def __init__(self, model: Any, block: int = 1) -> None:
        model = model.clone()
        super().__init__(model)
        self._is_perturbed = False
        self._passes = 0
        blocks = len(model.get_model_object("diffusion_model").transformer_blocks)
        for index in range(blocks):
            around = self._around(index == block)
            model.set_model_patch_replace(around, "dit", "double_block", index)

    def _around(self, is_chosen: bool) -> Any:
        def around(args: dict[str, Any], extra: dict[str, Any]) -> Any:
            if not (self._is_perturbed and is_chosen):
                return extra["original_block"](args)
            with _Perturbed():
                return extra["original_block"](args)

        return around

    def predict_noise(
        self, x: torch.Tensor, timestep: torch.Tensor, model_options: Any = None, seed: Any = None
    ) -> torch.Tensor:
        def ask(prompt: str) -> torch.Tensor:
            conds = [self.conds[prompt]]
            model = self.inner_model
            return comfy.samplers.calc_cond_batch(model, conds, x, timestep, model_options)[0]

        def perturbed() -> torch.Tensor:
            told = model_options["transformer_options"]
            told["ptb_index"], self._is_perturbed = 0, True
            try:
                return ask("positive")
            finally:
                self._is_perturbed = False
                del told["ptb_index"]

        self._passes += 1
        first = perturbed() if self._passes % 3 == 0 else None
        positive, negative = ask("positive"), ask("negative")
        without = perturbed() if first is None else first
        return positive + 2.0 * (positive - negative) + (positive - without)


def _guide(model: Any, conds: Conds) -> SpatioTemporalGuider:
    guider = SpatioTemporalGuider(model)
    guider.set_conds(*conds)
    return guider


PASSES = [
    Companion(
        "spatio-temporal guidance", ("ltxv", "ltxav"), ("TGate", "FasterCache", "PAB blocks"),
        guide=_guide, steps=6, has_forced=True, has_guidance=False,
    ),
]  # fmt: skip
