"""HiDream I1 and E1, and O1, which is a language model that paints."""

from ...sites import SiteKind
from .access import BlockResidual
from .family import Family, Layer

HIDREAM = Family(
    name="HiDream I1",
    models="HiDream I1, E1",
    model_classes=("comfy.ldm.hidream.model.HiDreamImageTransformer2DModel",),
    layers=(
        Layer(r"(double|single)_stream_blocks\.\d+\.block\.attn1", SiteKind.JOINT_ATTENTION),
        Layer(r"(double|single)_stream_blocks\.\d+\.block\.ff_[it]", SiteKind.FEED_FORWARD),
        # Every block gets prompt tokens of its own, which the network cuts off behind it.
        Layer(
            r"double_stream_blocks\.\d+",
            SiteKind.BLOCK,
            BlockResidual(("image_tokens", "text_tokens")),
        ),
        Layer(r"single_stream_blocks\.\d+", SiteKind.BLOCK, BlockResidual(("image_tokens",))),
    ),
)

HIDREAM_O1 = Family(
    name="HiDream O1",
    models="HiDream O1",
    model_classes=("comfy.ldm.hidream_o1.model.HiDreamO1Transformer",),
    # The first call for a prompt runs every token and keeps the prompt's keys and values on the
    # model; later calls, also those of later runs, run the picture's tokens only. A stored value
    # would meet another length, or end up in what is kept.
    lacks=dict.fromkeys(
        (SiteKind.SELF_ATTENTION, SiteKind.JOINT_ATTENTION, SiteKind.FEED_FORWARD, SiteKind.BLOCK),
        "it keeps the prompt's keys and values between calls, so that the length of a layer's "
        "output changes from call to call. Apply FasterCache can leave out its unconditional "
        "branch, and Step Cache reuses whole evaluations",
    ),
)
