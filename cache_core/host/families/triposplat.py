"""TripoSplat: Gaussian splats and a camera from a picture.

Splats, picture tokens and camera are one sequence; before that, splats are refined by themselves.
What refines the picture tokens does not depend on the noise, and is left alone.
"""

from ...sites import SiteKind
from .access import BlockResidual
from .family import Family, Layer

TRIPOSPLAT = Family(
    name="TripoSplat",
    models="TripoSplat (3D)",
    model_classes=("comfy.ldm.triposplat.model.LatentSeqMMFlowModel",),
    layers=(
        Layer(r"noise_refiner\.\d+\.attn", SiteKind.SELF_ATTENTION),
        Layer(r"blocks\.\d+\.attn", SiteKind.JOINT_ATTENTION),
        Layer(r"(noise_refiner|blocks)\.\d+\.mlp", SiteKind.FEED_FORWARD),
        Layer(r"(noise_refiner|blocks)\.\d+", SiteKind.BLOCK, BlockResidual(("x",))),
    ),
)
