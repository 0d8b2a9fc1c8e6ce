"""Qwen-Image and its edit and layered variants."""

from ...sites import SiteKind
from .access import BlockResidual
from .family import Family, Layer

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
