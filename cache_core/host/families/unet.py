"""SD1.5, SD2, SDXL, its refiner, SVD, inpainting and everything else on the host's UNet."""

from ...sites import SiteKind
from .access import BlockResidual, ModuleForward
from .family import Family, Layer

SELF = ModuleForward(followed_by=("attn1_patch", "attn1_output_patch"))
CROSS = ModuleForward(followed_by=("attn2_patch", "attn2_output_patch"))
"""The host calls both patches outside of the layer. HyperTile and token merging are such pairs."""

UNET = Family(
    name="UNet",
    models=(
        "SD1.5, SD2, SDXL and its refiner, inpainting, SVD, SV3D, SSD-1B, KOALA, Vega, "
        "Playground 2.5, Stable Zero123"
    ),
    model_classes=("comfy.ldm.modules.diffusionmodules.openaimodel.UNetModel",),
    layers=(
        Layer(r".*\.transformer_blocks\.\d+\.attn1", SiteKind.SELF_ATTENTION, SELF),
        Layer(r".*\.transformer_blocks\.\d+\.attn2", SiteKind.CROSS_ATTENTION, CROSS),
        Layer(r".*\.transformer_blocks\.\d+\.ff", SiteKind.FEED_FORWARD),
        # SVD: the time stack attends over frames, then to the image prompt.
        Layer(r".*\.time_stack\.\d+\.attn1", SiteKind.TEMPORAL_ATTENTION, SELF),
        Layer(r".*\.time_stack\.\d+\.attn2", SiteKind.CROSS_ATTENTION, CROSS),
        Layer(r".*\.time_stack\.\d+\.ff", SiteKind.FEED_FORWARD),
        Layer(r".*\.(transformer_blocks|time_stack)\.\d+", SiteKind.BLOCK, BlockResidual(("x",))),
    ),
    # Convolutions between the levels' attention.
    repeated=(r".*\.in_layers",),
    has_deep_branch=True,
)
