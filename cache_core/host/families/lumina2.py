"""Lumina 2 and what is built on it: Z-Image, its pixel-space variant, NewBie.

The refiner of the prompt is left alone: it does not depend on the timestep.
"""

from ...sites import SiteKind
from .access import BlockResidual
from .family import Family, Layer

LUMINA2 = Family(
    name="Lumina 2 / Z-Image",
    models="Lumina 2, Z-Image",
    model_classes=("comfy.ldm.lumina.model.NextDiT",),
    layers=(
        # Before the picture meets the prompt, it attends to itself.
        Layer(r"noise_refiner\.\d+\.attention", SiteKind.SELF_ATTENTION),
        Layer(r"layers\.\d+\.attention", SiteKind.JOINT_ATTENTION),
        Layer(r"(noise_refiner|layers)\.\d+\.feed_forward", SiteKind.FEED_FORWARD),
        Layer(r"(noise_refiner|layers)\.\d+", SiteKind.BLOCK, BlockResidual(("x",))),
    ),
)
