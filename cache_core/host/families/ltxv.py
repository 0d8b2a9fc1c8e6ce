"""LTX-Video and LTX-2, which makes sound with the video. Their blocks write into their inputs."""

from ...sites import SiteKind
from .access import BlockResidual
from .family import Family, Layer

LTXAV = Family(
    name="LTX-2",
    models="LTX-2 (video and sound)",
    model_classes=("comfy.ldm.lightricks.av_model.LTXAVModel",),
    layers=(
        Layer(r"transformer_blocks\.\d+\.(audio_)?attn1", SiteKind.SELF_ATTENTION),
        # Video and sound are one sample that attends to itself, changing until the last step;
        # cross-attention would promise that it settles early, as attention to a prompt does.
        Layer(
            r"transformer_blocks\.\d+\.(audio_to_video|video_to_audio)_attn",
            SiteKind.SELF_ATTENTION,
        ),
        Layer(r"transformer_blocks\.\d+\.(audio_)?attn2", SiteKind.CROSS_ATTENTION),
        Layer(r"transformer_blocks\.\d+\.(audio_)?ff", SiteKind.FEED_FORWARD),
        # x is the pair of both hidden states.
        Layer(
            r"transformer_blocks\.\d+", SiteKind.BLOCK, BlockResidual(("x",), writes_in_place=True)
        ),
    ),
)

LTXV = Family(
    name="LTX-Video",
    models="LTX-Video 0.9",
    model_classes=("comfy.ldm.lightricks.model.LTXVModel",),
    layers=(
        Layer(r"transformer_blocks\.\d+\.attn1", SiteKind.SELF_ATTENTION),
        Layer(r"transformer_blocks\.\d+\.attn2", SiteKind.CROSS_ATTENTION),
        Layer(r"transformer_blocks\.\d+\.ff", SiteKind.FEED_FORWARD),
        Layer(
            r"transformer_blocks\.\d+", SiteKind.BLOCK, BlockResidual(("x",), writes_in_place=True)
        ),
    ),
)
