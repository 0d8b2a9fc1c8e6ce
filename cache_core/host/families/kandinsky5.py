"""Kandinsky 5, picture and video. Self-attention spans all frames: there is no temporal one.

The prompt's own blocks know the timestep, so they run at every step and are sites as well.
"""

from ...sites import SiteKind
from .access import BlockResidual
from .family import Family, Layer

KANDINSKY_5 = Family(
    name="Kandinsky 5",
    models="Kandinsky 5 video and image",
    model_classes=("comfy.ldm.kandinsky5.model.Kandinsky5",),
    layers=(
        Layer(r"(text|visual)_transformer_blocks\.\d+\.self_attention", SiteKind.SELF_ATTENTION),
        Layer(r"visual_transformer_blocks\.\d+\.cross_attention", SiteKind.CROSS_ATTENTION),
        Layer(r"(text|visual)_transformer_blocks\.\d+\.feed_forward", SiteKind.FEED_FORWARD),
        Layer(r"text_transformer_blocks\.\d+", SiteKind.BLOCK, BlockResidual(("x",))),
        Layer(r"visual_transformer_blocks\.\d+", SiteKind.BLOCK, BlockResidual(("visual_embed",))),
    ),
)
