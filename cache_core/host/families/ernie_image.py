"""Ernie-Image: prompt and picture in one sequence, one modulation for all blocks."""

from ...sites import SiteKind
from .access import BlockResidual
from .family import Family, Layer

ERNIE_IMAGE = Family(
    name="Ernie-Image",
    models="Ernie-Image",
    model_classes=("comfy.ldm.ernie.model.ErnieImageModel",),
    layers=(
        # Called self-attention by the host; the sequence holds the prompt too.
        Layer(r"layers\.\d+\.self_attention", SiteKind.JOINT_ATTENTION),
        Layer(r"layers\.\d+\.mlp", SiteKind.FEED_FORWARD),
        Layer(r"layers\.\d+", SiteKind.BLOCK, BlockResidual(("x",))),
    ),
)
