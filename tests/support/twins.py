"""One UNet twice, with the same weights: ComfyUI's class and diffusers' class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import comfy.model_patcher
import comfy.samplers
import comfy.supported_models as supported
import comfy.utils
import torch
import toys
from comfy.patcher_extension import WrappersMP
from diffusers import UNet2DConditionModel

CROSS, PLAIN = "CrossAttnDownBlock2D", "DownBlock2D"
LAYOUTS = {"SD order": (CROSS, CROSS, PLAIN), "SDXL order": (PLAIN, CROSS, CROSS)}
UP = {CROSS: "CrossAttnUpBlock2D", PLAIN: "UpBlock2D"}


@dataclass(frozen=True)
class Call:
    """What the network was asked in one evaluation, cond and uncond in one batch."""

    x: torch.Tensor
    timestep: torch.Tensor
    context: torch.Tensor
    answer: torch.Tensor


def twins(layout: str) -> tuple[Any, UNet2DConditionModel]:
    """A ComfyUI patcher and a diffusers UNet that compute the same function."""
    down = LAYOUTS[layout]
    reference = UNet2DConditionModel(
        sample_size=16, in_channels=4, out_channels=4, layers_per_block=2,
        block_out_channels=(32, 64, 64), norm_num_groups=32, cross_attention_dim=24,
        attention_head_dim=8, down_block_types=down,
        up_block_types=tuple(UP[kind] for kind in reversed(down)),
    ).eval()  # fmt: skip
    toys.fill(reference)
    depth = [int(kind == CROSS) for kind in down for _ in range(2)]
    depth_out = [int(kind == CROSS) for kind in down for _ in range(3)]
    over = {"channel_mult": [1, 2, 2]}
    config = supported.SD15(toys.unet_config(3, depth, depth_out, 1, **over))
    config.set_inference_dtype(torch.float32, None)
    names = comfy.utils.unet_to_diffusers(
        toys.unet_config(3, list(depth), list(depth_out), 1, **over)
    )
    model = config.get_model({}, "", device=toys.CPU)
    weights = reference.state_dict()
    model.diffusion_model.load_state_dict(
        {host: weights[name] for name, host in names.items() if name in weights}
    )
    patcher = comfy.model_patcher.ModelPatcher(
        model.eval(), load_device=toys.CPU, offload_device=toys.CPU
    )
    return patcher, reference


def record_calls(model: Any, steps: int) -> list[Call]:
    """Sample with Euler and CFG; return every question to the network and its answer."""
    clone = model.clone()
    calls: list[Call] = []

    def record(
        executor: Any, x: Any, timestep: Any, context: Any, *args: Any, **kwargs: Any
    ) -> Any:
        answer = executor(x, timestep, context, *args, **kwargs)
        calls.append(Call(x.clone(), timestep.clone(), context.clone(), answer.clone()))
        return answer

    clone.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "record_calls", record)
    toys.sample(clone, "sd15", steps=steps)
    return calls
