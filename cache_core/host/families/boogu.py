"""Boogu: OmniGen2's refiners and blocks, with two-stream blocks between them.

A two-stream block has a second attention beside the joint one, over the picture alone.
"""

from ...sites import SiteKind
from .access import BlockResidual
from .family import Family, Layer
from .omnigen2 import PICTURE_REFINER

BOOGU = Family(
    name="Boogu",
    models="Boogu",
    model_classes=("comfy.ldm.boogu.model.BooguTransformer2DModel",),
    layers=(
        *PICTURE_REFINER,
        Layer(r"double_stream_layers\.\d+\.img_instruct_attn", SiteKind.JOINT_ATTENTION),
        Layer(r"double_stream_layers\.\d+\.img_self_attn", SiteKind.SELF_ATTENTION),
        Layer(r"double_stream_layers\.\d+\.(img|instruct)_feed_forward", SiteKind.FEED_FORWARD),
        Layer(
            r"double_stream_layers\.\d+",
            SiteKind.BLOCK,
            BlockResidual(("img_hidden_states", "instruct_hidden_states")),
        ),
        Layer(r"single_stream_layers\.\d+\.attn", SiteKind.JOINT_ATTENTION),
        Layer(r"single_stream_layers\.\d+\.feed_forward", SiteKind.FEED_FORWARD),
        Layer(r"single_stream_layers\.\d+", SiteKind.BLOCK, BlockResidual(("hidden_states",))),
    ),
)
