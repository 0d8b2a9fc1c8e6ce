"""HunyuanVideo 1.0 and 1.5, SkyReels, HunyuanImage 2.1 and its refiner, on Flux's blocks.

Two blocks refine the prompt before. They depend on the timestep, so they answer anew at every step
and are sites like any other.
"""

from ...sites import SiteKind
from .access import BlockResidual, InlinedLayer
from .family import Family, Layer
from .flux import DOUBLE_STREAM

_REFINER = r"txt_in\.individual_token_refiner\.blocks\.\d+"

HUNYUAN_VIDEO = Family(
    name="HunyuanVideo",
    models="HunyuanVideo 1.0, 1.5, I2V, SkyReels, HunyuanImage 2.1",
    model_classes=("comfy.ldm.hunyuan_video.model.HunyuanVideo",),
    layers=(
        Layer(
            _REFINER,
            SiteKind.SELF_ATTENTION,
            InlinedLayer(inputs=("self_attn.qkv",), outputs=("self_attn.proj",), unused=("mask",)),
        ),
        Layer(rf"{_REFINER}\.mlp", SiteKind.FEED_FORWARD),
        Layer(_REFINER, SiteKind.BLOCK, BlockResidual(("x",))),
        *DOUBLE_STREAM,
    ),
)
