"""Mochi: joint blocks of two widths, one for the video and one for the prompt."""

from ...sites import SiteKind
from .access import BlockResidual
from .family import Family, Layer

MOCHI = Family(
    name="Mochi",
    models="Mochi 1",
    model_classes=("comfy.ldm.genmo.joint_model.asymm_models_joint.AsymmDiTJoint",),
    layers=(
        Layer(r"blocks\.\d+\.attn", SiteKind.JOINT_ATTENTION),
        Layer(r"blocks\.\d+\.mlp_[xy]", SiteKind.FEED_FORWARD),
        Layer(r"blocks\.\d+", SiteKind.BLOCK, BlockResidual(("x", "y"))),
    ),
)
