"""Stable Cascade. Stage C makes the picture in its smallest latent, stage B widens it.

Their attention takes its queries from the picture and its keys from picture and prompt together.
Attention, convolution and timestep layers stand side by side in one list, so there is no block that
holds them. Stage B runs the layers of its upper half several times per call, each time with inputs
of its own.
"""

from ...sites import SiteKind
from .family import Family, Layer

STABLE_CASCADE = Family(
    name="Stable Cascade",
    models="stages C and B",
    model_classes=("comfy.ldm.cascade.stage_c.StageC", "comfy.ldm.cascade.stage_b.StageB"),
    layers=(
        Layer(r"(down|up)_blocks\.\d+\.\d+\.attention", SiteKind.JOINT_ATTENTION),
        # The layers after the depthwise convolution, and those of stages with feed-forwards alone.
        Layer(r"(down|up)_blocks\.\d+\.\d+\.channelwise", SiteKind.FEED_FORWARD),
    ),
    lacks={
        SiteKind.BLOCK: "its layers stand side by side instead of in blocks. Reuse its attention "
        "and feed-forwards, with Apply PAB",
        SiteKind.DEEP_BRANCH: "its levels are not joined block by block as in SD1.5 or SDXL, so "
        "there is no branch to cut. Use Apply PAB on this model",
    },
)
