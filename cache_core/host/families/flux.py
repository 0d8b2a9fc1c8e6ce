"""Flux, Flux.2, Kontext, and other models of the same class, such as Ovis and LongCat-Image.

A single block multiplies by one matrix for queries, keys, values and the feed-forward, and by one
for what comes out of both. So only scaled dot-product attention and the block as a whole can be
left out of it; there is no feed-forward of its own.
"""

from ...sites import SiteKind
from .access import BlockResidual, InlinedLayer, SdpaOnly
from .family import Family, Layer

DOUBLE_ATTENTION = InlinedLayer(
    inputs=("img_attn.qkv", "txt_attn.qkv"),
    outputs=("img_attn.proj", "txt_attn.proj"),
    passed=("img_attn.norm", "txt_attn.norm"),
    unused=("pe", "attn_mask"),
)
"""Attention of the double blocks that Flux, Chroma and the Hunyuan models share."""

SINGLE_ATTENTION = SdpaOnly(unused=("pe", "attn_mask"))
"""Attention of their single blocks."""

DOUBLE_STREAM = (
    Layer(r"double_blocks\.\d+", SiteKind.JOINT_ATTENTION, DOUBLE_ATTENTION),
    Layer(r"double_blocks\.\d+\.(img|txt)_mlp", SiteKind.FEED_FORWARD),
    Layer(
        r"double_blocks\.\d+", SiteKind.BLOCK, BlockResidual(("img", "txt"), writes_in_place=True)
    ),
    Layer(r"single_blocks\.\d+", SiteKind.JOINT_ATTENTION, SINGLE_ATTENTION),
    Layer(r"single_blocks\.\d+", SiteKind.BLOCK, BlockResidual(("x",), writes_in_place=True)),
)
"""The lines of every network that is made of these two blocks."""

FLUX = Family(
    name="Flux",
    models="Flux.1 dev, schnell, Kontext, Flux.2, Ovis-Image, LongCat-Image",
    model_classes=("comfy.ldm.flux.model.Flux",),
    layers=DOUBLE_STREAM,
)
