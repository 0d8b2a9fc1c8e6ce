"""CogVideoX 1.0 and 1.5. Its attention and feed-forward are parts of the block, not modules."""

from ...sites import SiteKind
from .access import BlockResidual, InlinedLayer
from .family import Family, Layer

_BLOCK = r"blocks\.\d+"

COGVIDEOX = Family(
    name="CogVideoX",
    models="CogVideoX 1.0, 1.5, T2V, I2V",
    model_classes=("comfy.ldm.cogvideo.model.CogVideoXTransformer3DModel",),
    layers=(
        Layer(
            _BLOCK,
            SiteKind.JOINT_ATTENTION,
            InlinedLayer(
                inputs=("q", "k", "v"),
                outputs=("attn_out",),
                passed=("norm_q", "norm_k"),
                unused=("image_rotary_emb",),
            ),
        ),
        Layer(
            _BLOCK,
            SiteKind.FEED_FORWARD,
            InlinedLayer(inputs=("ff_proj",), outputs=("ff_out",), has_attention=False),
        ),
        Layer(_BLOCK, SiteKind.BLOCK, BlockResidual(("hidden_states", "encoder_hidden_states"))),
    ),
)
