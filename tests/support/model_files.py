"""Files of models as they are published, in full size and without a byte of weights."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

BYTES = {"F32": 4, "F16": 2, "U8": 1}

Shapes = Mapping[str, tuple[int, ...]]


def header_of(shapes: Shapes, dtype: str = "F16") -> dict[str, Any]:
    """What such a file says of tensors that stand one behind the other."""
    header: dict[str, Any] = {}
    at = 0
    for name, shape in shapes.items():
        end = at + math.prod(shape) * BYTES[dtype]
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, end]}
        at = end
    return header


def write(path: Path, header: Mapping[str, Any] | bytes, size: int | None = None) -> Path:
    """A safetensors file of which only the header takes room on the disk.

    Args:
        path: to be written.
        header: as an object, or as it is to stand there.
        size: of the tensors; the end of the last one unless given.
    """
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    if size is None and not isinstance(header, bytes):
        ends = [each["data_offsets"][1] for n, each in header.items() if n != "__metadata__"]
        size = max(ends, default=0)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + (size or 0))
    return path


def published(name: str) -> tuple[Any, Shapes]:
    """The host's network of a published model, on the device "meta", and its file's layout."""
    import comfy.supported_models as supported
    import toys

    sixteen = [1] * 6 + [0] * 2, [1] * 9 + [0] * 3, 1
    configs = {
        "SD1.5": lambda: supported.SD15(
            toys.unet_config(
                4, *sixteen, model_channels=320, channel_mult=[1, 2, 4, 4], context_dim=768
            )
        ),
        "SDXL": lambda: supported.SDXL(
            toys.unet_config(
                3, [0, 0, 2, 2, 10, 10], [0, 0, 0, 2, 2, 2, 10, 10, 10], 10,
                model_channels=320, channel_mult=[1, 2, 4], context_dim=2048,
                use_linear_in_transformer=True, adm_in_channels=2816, num_classes="sequential",
            )
        ),
        "Flux dev": lambda: supported.Flux({
            "image_model": "flux", "in_channels": 16, "patch_size": 2, "out_channels": 16,
            "vec_in_dim": 768, "context_in_dim": 4096, "hidden_size": 3072, "mlp_ratio": 4.0,
            "num_heads": 24, "depth": 19, "depth_single_blocks": 38, "axes_dim": [16, 56, 56],
            "theta": 10000, "qkv_bias": True, "guidance_embed": True, "txt_ids_dims": [],
        }),
        "Wan 2.1 14B": lambda: supported.WAN21_T2V({
            "image_model": "wan2.1", "model_type": "t2v", "patch_size": (1, 2, 2), "in_dim": 16,
            "dim": 5120, "ffn_dim": 13824, "freq_dim": 256, "text_dim": 4096, "out_dim": 16,
            "num_heads": 40, "num_layers": 40,
        }),
    }  # fmt: skip
    config = configs[name]()
    network = config.get_model({}, "", device="meta").diffusion_model
    saved = config.process_unet_state_dict_for_saving(network.state_dict())
    return network, {key: tuple(tensor.shape) for key, tensor in saved.items()}
