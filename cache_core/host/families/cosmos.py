"""Cosmos predict 1, Cosmos predict 2 and Anima. Self-attention spans all frames at once."""

from ...sites import SiteKind
from .access import BlockResidual, ModuleForward
from .family import Family, Layer

THWBD = 3
"""Axis of the batch in the first Cosmos: time, height, width, batch, channels."""

COSMOS_1 = Family(
    name="Cosmos",
    models="Cosmos predict 1",
    model_classes=("comfy.ldm.cosmos.model.GeneralDIT",),
    layers=(
        # Every block of a published model is full attention, cross-attention, feed-forward.
        Layer(r"blocks\.block\d+\.blocks\.0\.block", SiteKind.SELF_ATTENTION, ModuleForward(THWBD)),
        Layer(
            r"blocks\.block\d+\.blocks\.1\.block", SiteKind.CROSS_ATTENTION, ModuleForward(THWBD)
        ),
        Layer(r"blocks\.block\d+\.blocks\.2\.block", SiteKind.FEED_FORWARD, ModuleForward(THWBD)),
        Layer(r"blocks\.block\d+", SiteKind.BLOCK, BlockResidual(("x",), batch_axis=THWBD)),
    ),
)

COSMOS_2 = Family(
    # Anima is a subclass; its adapter of prompts runs once, before sampling.
    name="Cosmos Predict2",
    models="Cosmos predict 2, Anima",
    model_classes=("comfy.ldm.cosmos.predict2.MiniTrainDIT",),
    layers=(
        Layer(r"blocks\.\d+\.self_attn", SiteKind.SELF_ATTENTION),
        Layer(r"blocks\.\d+\.cross_attn", SiteKind.CROSS_ATTENTION),
        Layer(r"blocks\.\d+\.mlp", SiteKind.FEED_FORWARD),
        Layer(r"blocks\.\d+", SiteKind.BLOCK, BlockResidual(("x_B_T_H_W_D",))),
    ),
)
