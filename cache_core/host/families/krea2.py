"""Krea 2: prompt and picture in one sequence.

With reference pictures its blocks gate the outputs of attention and feed-forward in place. The
blocks that fuse layers of the text encoder see the prompt only and are left alone.
"""

from ...sites import SiteKind
from .access import BlockResidual
from .family import Family, Layer

KREA2 = Family(
    name="Krea 2",
    models="Krea 2",
    model_classes=("comfy.ldm.krea2.model.SingleStreamDiT",),
    layers=(
        Layer(r"blocks\.\d+\.attn", SiteKind.JOINT_ATTENTION),
        Layer(r"blocks\.\d+\.mlp", SiteKind.FEED_FORWARD),
        Layer(r"blocks\.\d+", SiteKind.BLOCK, BlockResidual(("x",))),
    ),
)
