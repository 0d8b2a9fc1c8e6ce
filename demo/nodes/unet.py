"""Loads the demo's UNets as real ComfyUI models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import comfy.conds
import comfy.model_base
import comfy.model_management
import comfy.model_patcher
import comfy.model_sampling
import comfy.supported_models
import comfy.utils
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

from ..patched_unet import PatchedUNet


class ShapesUNet(comfy.model_base.BaseModel):
    """Stable Diffusion's model class; reads only the columns of the caption the UNet knows."""

    def extra_conds(self, **kwargs: Any) -> dict[str, Any]:
        conditions = super().extra_conds(**kwargs)
        tokens = kwargs.get("cross_attn")
        if tokens is not None:
            width = self.model_config.unet_config["context_dim"]
            conditions["c_crossattn"] = comfy.conds.CONDCrossAttn(tokens[..., :width])
        return conditions


class LatentPrediction(comfy.model_sampling.ModelSamplingDiscrete, comfy.model_sampling.X0):
    """What ComfyUI's own node ModelSamplingDiscrete makes of a model with "x0"."""


def load_unet(path: Path) -> comfy.model_patcher.ModelPatcher:
    """The UNet of a safetensors file that carries its own ``config`` in the metadata.

    Where this also has a ``prediction`` of "x0", the UNet gives the latent; otherwise v.
    """
    weights, metadata = comfy.utils.load_torch_file(str(path), return_metadata=True)
    if not metadata or "config" not in metadata:
        raise ValueError(
            f"Load Shapes UNet: {path.name} is not the demo's UNet (its metadata has no 'config'); "
            "choose shapes_unet.safetensors"
        )
    config = json.loads(metadata["config"])
    model_config = comfy.supported_models.SD15(config)
    model_config.unet_config.update(config)
    load_device = comfy.model_management.get_torch_device()
    offload_device = comfy.model_management.unet_offload_device()
    dtype = comfy.model_management.unet_dtype(
        model_params=comfy.utils.calculate_parameters(weights),
        supported_dtypes=list(model_config.supported_inference_dtypes),
        weight_dtype=comfy.utils.weight_dtype(weights),
    )
    cast = comfy.model_management.unet_manual_cast(
        dtype, load_device, model_config.supported_inference_dtypes
    )
    model_config.set_inference_dtype(dtype, cast)
    model = ShapesUNet(
        model_config,
        model_type=comfy.model_base.ModelType.V_PREDICTION,
        unet_model=PatchedUNet if "patch_size" in config else UNetModel,
    )
    model.load_model_weights(weights)
    model = model.to(offload_device)
    patcher = comfy.model_patcher.ModelPatcher(
        model, load_device=load_device, offload_device=offload_device
    )
    if metadata.get("prediction") == "x0":
        patcher.add_object_patch("model_sampling", LatentPrediction(model_config))
    patcher.cached_patcher_init = (load_unet, (path,))
    return patcher
