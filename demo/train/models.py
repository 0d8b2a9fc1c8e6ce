"""Builds the genuine ComfyUI classes that are trained, with starting weights."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ..shapes.captions import USED
from ..textures.captions import WIDTH

if TYPE_CHECKING:
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
    from comfy.ldm.wan.model import WanModel

DIT_CONFIG: dict[str, Any] = {
    "model_type": "t2v",
    "patch_size": (1, 2, 2),
    "in_dim": 16,
    "out_dim": 16,
    "dim": 256,
    "ffn_dim": 768,
    "freq_dim": 256,
    "num_heads": 2,
    "num_layers": 4,
}
UNET_CONFIG: dict[str, Any] = {
    "image_size": 32,
    "in_channels": 4,
    "out_channels": 4,
    "model_channels": 32,
    "channel_mult": [1, 2, 3],
    "num_res_blocks": [1, 1, 1],
    "transformer_depth": [0, 1, 1],
    "transformer_depth_output": [0, 0, 0, 1, 1, 0],
    "transformer_depth_middle": 1,
    "context_dim": USED,
    "num_heads": -1,
    "num_head_channels": 32,
    "use_spatial_transformer": True,
    "use_linear_in_transformer": False,
    "legacy": False,
}
TEXTURES_CONFIG: dict[str, Any] = UNET_CONFIG | {
    "image_size": 64,
    "patch_size": 4,
    "model_channels": 96,
    "channel_mult": [1, 1],
    "num_res_blocks": [1, 1],
    "transformer_depth": [1, 1],
    "transformer_depth_output": [0, 1, 1, 0],
    "context_dim": WIDTH,
}
PREDICTIONS = {"unet": "v", "textures": "x0"}
"""What the UNets give."""


def load_comfy(folder: str | None, training: bool = True) -> None:
    """Make ``import comfy`` work; call before anything that imports it.

    ComfyUI's fused kernels have no gradients, so training asks for its plain torch paths.
    """
    folder = folder or os.environ.get("COMFYUI_PATH")
    if folder:
        sys.path.insert(0, str(Path(folder).resolve()))
    try:
        from comfy.cli_args import args
    except ModuleNotFoundError as error:
        raise SystemExit(
            "ComfyUI was not found: pass --comfyui FOLDER or set COMFYUI_PATH to a ComfyUI checkout"
        ) from error
    args.cpu = not torch.cuda.is_available()
    args.use_pytorch_cross_attention = True
    import comfy.model_management

    comfy.model_management.in_training = training


def initialise(model: nn.Module, zero: tuple[str, ...]) -> None:
    """Fill every parameter: ComfyUI's layers leave their memory as they find it.

    ``zero`` names the layers (by the end of their name) that start at zero, so that every
    residual branch starts closed.
    """
    for name, parameter in model.named_parameters():
        layer = name.rpartition(".")[0]
        if name.endswith("bias") or layer.endswith(zero):
            nn.init.zeros_(parameter)
        elif name.endswith("modulation"):
            nn.init.normal_(parameter, std=1 / math.sqrt(parameter.shape[-1]))
        elif parameter.ndim == 1:
            nn.init.ones_(parameter)
        else:
            nn.init.normal_(parameter, std=1 / math.sqrt(parameter[0].numel()))


def build_dit(text_dim: int = USED, dtype: torch.dtype = torch.float32) -> WanModel:
    """The Wan model; trained on the used columns of the conditioning only."""
    import comfy.ldm.wan.model
    import comfy.ops

    model = comfy.ldm.wan.model.WanModel(
        **DIT_CONFIG, text_dim=text_dim, dtype=dtype, operations=comfy.ops.disable_weight_init
    )
    initialise(model, zero=("head.head", "time_projection.1"))
    return model


def build_unet(config: dict[str, Any], dtype: torch.dtype = torch.float32) -> UNetModel:
    """The Stable Diffusion UNet with narrow levels: `UNET_CONFIG` or `TEXTURES_CONFIG`."""
    import comfy.ldm.modules.diffusionmodules.openaimodel as openaimodel

    from ..patched_unet import PatchedUNet
    from .groupnorm import operations

    kind = PatchedUNet if "patch_size" in config else openaimodel.UNetModel
    model = kind(**config, dtype=dtype, operations=operations())
    initialise(model, zero=("out.2", "out_layers.3", "proj_out"))
    return model
