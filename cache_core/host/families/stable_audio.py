"""Stable Audio Open, its small variant, and Stable Audio 3: one network for all of them."""

from ...sites import SiteKind
from .access import BlockResidual
from .family import Family, Layer

STABLE_AUDIO = Family(
    name="Stable Audio",
    models="Stable Audio 1 and 3",
    model_classes=("comfy.ldm.audio.dit.AudioDiffusionTransformer",),
    layers=(
        Layer(r"transformer\.layers\.\d+\.self_attn", SiteKind.SELF_ATTENTION),
        Layer(r"transformer\.layers\.\d+\.cross_attn", SiteKind.CROSS_ATTENTION),
        Layer(r"transformer\.layers\.\d+\.ff", SiteKind.FEED_FORWARD),
        Layer(r"transformer\.layers\.\d+", SiteKind.BLOCK, BlockResidual(("x",))),
    ),
)
