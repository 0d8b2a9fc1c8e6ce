"""Ideogram 4: prompt and picture in one sequence; without a prompt, the picture alone."""

from ...sites import SiteKind
from .access import BlockResidual
from .family import Family, Layer

IDEOGRAM4 = Family(
    name="Ideogram 4",
    models="Ideogram 4",
    model_classes=("comfy.ldm.ideogram4.model.Ideogram4Transformer",),
    layers=(
        Layer(r"layers\.\d+\.attention", SiteKind.JOINT_ATTENTION),
        Layer(r"layers\.\d+\.feed_forward", SiteKind.FEED_FORWARD),
        Layer(r"layers\.\d+", SiteKind.BLOCK, BlockResidual(("x",))),
    ),
)
