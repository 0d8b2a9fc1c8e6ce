"""SD1.5, SD2, SDXL, its refiner, SVD, inpainting and everything else on the host's UNet."""

from ...sites import SiteKind
from .family import Family

UNET = Family(
    name="UNet",
    model_class="comfy.ldm.modules.diffusionmodules.openaimodel.UNetModel",
    layers=(
        (r".*\.transformer_blocks\.\d+\.attn1", SiteKind.SELF_ATTENTION),
        (r".*\.transformer_blocks\.\d+\.attn2", SiteKind.CROSS_ATTENTION),
        (r".*\.transformer_blocks\.\d+\.ff", SiteKind.FEED_FORWARD),
        # SVD: the time stack attends over frames, then to the image prompt.
        (r".*\.time_stack\.\d+\.attn1", SiteKind.TEMPORAL_ATTENTION),
        (r".*\.time_stack\.\d+\.attn2", SiteKind.CROSS_ATTENTION),
        (r".*\.time_stack\.\d+\.ff", SiteKind.FEED_FORWARD),
    ),
    has_deep_branch=True,
)
