"""SeedVR2, which restores videos. Attention in windows, over video and prompt.

All samples of a batch are one sequence of tokens, sample after sample and equally long.
"""

from ...sites import SiteKind
from .access import BlockResidual
from .family import Family, Layer

SEEDVR2 = Family(
    name="SeedVR2",
    models="SeedVR2",
    model_classes=("comfy.ldm.seedvr.model.NaDiT",),
    layers=(
        Layer(r"blocks\.\d+\.attn", SiteKind.JOINT_ATTENTION),
        Layer(
            # The first block always runs: the last layer takes the timestep from what it leaves.
            r"blocks\.[1-9]\d*",
            SiteKind.BLOCK,
            BlockResidual(("vid", "txt", "vid_shape", "txt_shape")),
        ),
    ),
    # Its text comes out with cond before uncond, and it hands the results back the other way round.
    # Its own two texts differ in length, so the host batches them only for texts from elsewhere.
    swaps_halves=True,
    lacks={
        SiteKind.FEED_FORWARD: "its larger variant runs them on slices of a video. Reuse its "
        "attention, which Apply PAB does",
    },
)
