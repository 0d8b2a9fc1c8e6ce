"""JoyImage. Reference pictures are further tokens of the picture's stream."""

from ...sites import SiteKind
from .access import BlockResidual
from .family import Family, Layer

JOYIMAGE = Family(
    name="JoyImage",
    models="JoyImage",
    model_classes=("comfy.ldm.joyimage.model.JoyImageTransformer3DModel",),
    layers=(
        Layer(r"double_blocks\.\d+\.attn", SiteKind.JOINT_ATTENTION),
        Layer(r"double_blocks\.\d+\.(img|txt)_mlp", SiteKind.FEED_FORWARD),
        Layer(
            r"double_blocks\.\d+",
            SiteKind.BLOCK,
            BlockResidual(("hidden_states", "encoder_hidden_states")),
        ),
    ),
)
