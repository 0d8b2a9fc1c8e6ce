"""Qwen-Image and its edit and layered variants; Qwen-Image 2.1, another network."""

from typing import Any

from ...sites import SiteKind
from .access import BlockResidual
from .family import CacheFill, Family, Layer

QWEN_BLOCKS = (
    Layer(r"transformer_blocks\.\d+\.attn", SiteKind.JOINT_ATTENTION),
    Layer(r"transformer_blocks\.\d+\.(img|txt)_mlp", SiteKind.FEED_FORWARD),
    Layer(
        r"transformer_blocks\.\d+",
        SiteKind.BLOCK,
        BlockResidual(("encoder_hidden_states", "hidden_states")),
    ),
)
"""The lines of every network that is made of these two-stream blocks."""

QWEN_IMAGE = Family(
    name="Qwen-Image",
    models="Qwen-Image, Qwen-Image-Edit",
    model_classes=("comfy.ldm.qwen_image.model.QwenImageTransformer2DModel",),
    layers=QWEN_BLOCKS,
)


def _is_prefix(
    x: Any, mod: Any, pe: Any, attn_fn: Any, prefix_len: int, *_: Any, **__: Any
) -> bool:
    """Whether a block gets nothing but the prompt and its reference pictures.

    Of these the network keeps keys and values for a whole run, once it has called its blocks with
    them alone (ComfyUI's comfy/ldm/qwen_image21/model.py of October 2026).
    """
    return prefix_len == x.shape[1]


QWEN_IMAGE_21 = Family(
    name="Qwen-Image 2.1",
    models="Qwen-Image 2.1 (written by its source; no tested ComfyUI has it)",
    model_classes=("comfy.ldm.qwen_image21.model.QwenImage21Transformer2DModel",),
    layers=(
        Layer(r"transformer_blocks\.\d+\.attn", SiteKind.JOINT_ATTENTION),
        Layer(r"transformer_blocks\.\d+\.img_mlp", SiteKind.FEED_FORWARD),
        Layer(
            r"transformer_blocks\.\d+", SiteKind.BLOCK, BlockResidual(("x",), writes_in_place=True)
        ),
    ),
    cache_fill=CacheFill(r"transformer_blocks\.\d+", _is_prefix),
)
