"""PixelDiT and PiD, which work on pixels.

Joint blocks over patches and prompt come first, then blocks that refine the pixels of each patch
and attend over patches. The feed-forward of the latter runs on slices of the batch that do not
respect whose rows they are, so it is not a layer to reuse by itself.
"""

from ...sites import SiteKind
from .access import BlockResidual
from .family import Family, Layer

PIXELDIT = Family(
    name="PixelDiT",
    models="PixelDiT, PiD",
    model_classes=("comfy.ldm.pixeldit.model.PixDiT_T2I",),
    layers=(
        Layer(r"patch_blocks\.\d+\.attn", SiteKind.JOINT_ATTENTION),
        Layer(r"patch_blocks\.\d+\.mlp_[xy]", SiteKind.FEED_FORWARD),
        Layer(r"patch_blocks\.\d+", SiteKind.BLOCK, BlockResidual(("x", "y"))),
        Layer(r"pixel_blocks\.\d+\.attn", SiteKind.SELF_ATTENTION),
        Layer(r"pixel_blocks\.\d+", SiteKind.BLOCK, BlockResidual(("x",))),
    ),
)
