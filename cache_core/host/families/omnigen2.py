"""OmniGen2. Its prompt's refiner is left alone: it does not depend on the timestep."""

from ...sites import SiteKind
from .access import BlockResidual
from .family import Family, Layer

# The refiner of reference pictures runs only where there are some, and then for two blocks of
# thirty: no place for a plan to count on.
PICTURE_REFINER = (
    Layer(r"noise_refiner\.\d+\.attn", SiteKind.SELF_ATTENTION),
    Layer(r"noise_refiner\.\d+\.feed_forward", SiteKind.FEED_FORWARD),
    Layer(r"noise_refiner\.\d+", SiteKind.BLOCK, BlockResidual(("hidden_states",))),
)
"""Attention over the picture alone, before it meets the prompt."""

OMNIGEN2 = Family(
    name="OmniGen2",
    models="OmniGen2",
    model_classes=("comfy.ldm.omnigen.omnigen2.OmniGen2Transformer2DModel",),
    layers=(
        *PICTURE_REFINER,
        Layer(r"layers\.\d+\.attn", SiteKind.JOINT_ATTENTION),
        Layer(r"layers\.\d+\.feed_forward", SiteKind.FEED_FORWARD),
        Layer(r"layers\.\d+", SiteKind.BLOCK, BlockResidual(("hidden_states",))),
    ),
)
