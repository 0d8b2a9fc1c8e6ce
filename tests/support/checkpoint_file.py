"""A whole checkpoint, small enough for a test, that the stock loader takes for SD1.5."""

from __future__ import annotations

from pathlib import Path

import model_files
import torch


def write_checkpoint(path: Path) -> Path:
    """SD1.5's text encoder and VAE, and a UNet of its width with two levels; every number is 0.

    The file takes hardly any room on a disk that knows sparse files, and 520 MB elsewhere.
    """
    import comfy.supported_models as supported
    import toys
    from comfy.ldm.models.autoencoder import AutoencoderKL
    from comfy.sd1_clip import SDClipModel

    config = supported.SD15(
        toys.unet_config(
            2, [1, 1, 0, 0], [1, 1, 1, 0, 0, 0], 1,
            model_channels=320, channel_mult=[1, 1], context_dim=768, num_heads=8,
        )
    )  # fmt: skip
    layout = {
        "double_z": True, "z_channels": 4, "resolution": 256, "in_channels": 3, "out_ch": 3,
        "ch": 128, "ch_mult": [1, 2, 4, 4], "num_res_blocks": 2, "attn_resolutions": [],
        "dropout": 0.0,
    }  # fmt: skip
    with torch.device("meta"):
        parts = {
            "model.diffusion_model.": config.get_model({}, "", device="meta").diffusion_model,
            "cond_stage_model.": SDClipModel(device="meta", dtype=torch.float16),
            "first_stage_model.": AutoencoderKL(ddconfig=layout, embed_dim=4),
        }
    shapes = {
        prefix + name: tuple(tensor.shape)
        for prefix, module in parts.items()
        for name, tensor in module.state_dict().items()
    }
    return model_files.write(path, model_files.header_of(shapes))
