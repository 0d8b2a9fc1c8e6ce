"""One network twice, with the same weights: ComfyUI's class and diffusers' class."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import comfy.model_patcher
import comfy.samplers
import comfy.supported_models as supported
import comfy.utils
import torch
import toys
from diffusers.loaders.single_file_utils import convert_wan_transformer_to_diffusers
from diffusers.models.transformers.transformer_sd3 import SD3Transformer2DModel
from diffusers.models.transformers.transformer_wan import WanTransformer3DModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

CROSS, PLAIN = "CrossAttnDownBlock2D", "DownBlock2D"
LAYOUTS = {"SD order": (CROSS, CROSS, PLAIN), "SDXL order": (PLAIN, CROSS, CROSS)}
UP = {CROSS: "CrossAttnUpBlock2D", PLAIN: "UpBlock2D"}


@dataclass(frozen=True)
class Call:
    """What the network was asked at once, for one branch of guidance or two, and its answer."""

    x: torch.Tensor
    timestep: torch.Tensor
    context: torch.Tensor
    answer: torch.Tensor
    pooled: torch.Tensor | None = None


@dataclass(frozen=True)
class Evaluation:
    """What one evaluation knew: the noisy latents, and the denoised ones of both branches."""

    x: torch.Tensor
    sigma: torch.Tensor
    cond: torch.Tensor
    uncond: torch.Tensor


@dataclass
class Record:
    """One run: every question to the network, and every evaluation; without churn one of each."""

    calls: list[Call] = field(default_factory=list)
    evaluations: list[Evaluation] = field(default_factory=list)


def unet_twins(layout: str) -> tuple[Any, UNet2DConditionModel]:
    """A ComfyUI patcher and a diffusers UNet that compute the same function.

    The patcher is everybody's, so that leaks show; the UNet is the caller's to spoil.
    """
    patcher, reference = _unet_twins(layout)
    return patcher, deepcopy(reference)


@cache
def _unet_twins(layout: str) -> tuple[Any, UNet2DConditionModel]:
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


def wan_twins() -> tuple[Any, WanTransformer3DModel]:
    """The toy Wan, and diffusers' class with its weights."""
    patcher = toys.load("wan")
    network = patcher.model.diffusion_model
    config = toys.wan_config().unet_config
    reference = WanTransformer3DModel(
        patch_size=config["patch_size"], num_attention_heads=config["num_heads"],
        attention_head_dim=config["dim"] // config["num_heads"], in_channels=config["in_dim"],
        out_channels=config["out_dim"], text_dim=config["text_dim"], freq_dim=config["freq_dim"],
        ffn_dim=config["ffn_dim"], num_layers=config["num_layers"], cross_attn_norm=True,
        qk_norm="rms_norm_across_heads", rope_max_seq_len=32,
    ).eval()  # fmt: skip
    weights = {name: weight.clone() for name, weight in network.state_dict().items()}
    reference.load_state_dict(convert_wan_transformer_to_diffusers(weights))
    return patcher, reference


def sd3_twins() -> tuple[Any, SD3Transformer2DModel]:
    """The toy SD3, and diffusers' class with its weights."""
    patcher = toys.load("sd3")
    config = patcher.model.model_config.unet_config
    reference = SD3Transformer2DModel(
        patch_size=config["patch_size"], in_channels=config["in_channels"],
        out_channels=config["out_channels"], num_layers=config["depth"],
        num_attention_heads=config["depth"], attention_head_dim=64, qk_norm="rms_norm",
        joint_attention_dim=24, caption_projection_dim=64 * config["depth"],
        pooled_projection_dim=config["adm_in_channels"],
        pos_embed_max_size=config["pos_embed_max_size"], sample_size=8,
    ).eval()  # fmt: skip
    weights = patcher.model.diffusion_model.state_dict()
    names = comfy.utils.mmdit_to_diffusers(config)
    ours = {name: names[name] for name in reference.state_dict() if name in names}
    missing, _ = reference.load_state_dict(
        {name: _part_of(weights, place) for name, place in ours.items()}, strict=False
    )
    assert missing == [], missing
    return patcher, reference


def _part_of(weights: dict[str, torch.Tensor], place: Any) -> torch.Tensor:
    """What the host's table of names points to: a tensor, rows of one, or one turned about."""
    if isinstance(place, str):
        return weights[place]
    name, rows, *turn = place
    part = weights[name] if rows is None else weights[name].narrow(*rows)
    return turn[0](part) if turn else part


def record_run(model: Any, name: str, steps: int) -> Record:
    """Sample with Euler and CFG, and write down what the network was asked and what came of it.

    Args:
        model: a patcher.
        name: the toy whose latents and conditionings fit it.
        steps: sampler steps.
    """
    clone = model.clone()
    record = Record()

    def called(_: Any, args: Any, kwargs: dict[str, Any], answer: torch.Tensor) -> None:
        x, timestep = args
        kept = (x.clone(), timestep.clone(), kwargs["context"].clone(), answer.clone())
        record.calls.append(Call(*kept, pooled=kwargs.get("y")))

    def evaluated(about: dict[str, Any]) -> torch.Tensor:
        names = ("input", "sigma", "cond_denoised", "uncond_denoised")
        record.evaluations.append(Evaluation(*(about[name].clone() for name in names)))
        return about["denoised"]

    clone.set_model_sampler_post_cfg_function(evaluated)
    # Not the host's wrapper: its SD3 calls none.
    hook = model.model.diffusion_model.register_forward_hook(called, with_kwargs=True)
    try:
        toys.sample(clone, name, steps=steps)
    finally:
        hook.remove()
    return record
