"""AuraFlow: a few two-stream blocks, then blocks over prompt and picture in one sequence."""

from ...sites import SiteKind
from .access import BlockResidual
from .family import Family, Layer

AURA_FLOW = Family(
    name="AuraFlow",
    models="AuraFlow",
    model_classes=("comfy.ldm.aura.mmdit.MMDiT",),
    layers=(
        Layer(r"(double|single)_layers\.\d+\.attn", SiteKind.JOINT_ATTENTION),
        Layer(r"double_layers\.\d+\.mlp[CX]", SiteKind.FEED_FORWARD),
        Layer(r"single_layers\.\d+\.mlp", SiteKind.FEED_FORWARD),
        Layer(r"double_layers\.\d+", SiteKind.BLOCK, BlockResidual(("c", "x"))),
        Layer(r"single_layers\.\d+", SiteKind.BLOCK, BlockResidual(("cx",))),
    ),
)
