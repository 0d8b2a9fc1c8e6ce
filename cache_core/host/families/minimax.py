"""MiniMax H3, video and its sound, and MiniMax Music 3.

In H3 prompt, references, sound and video are one sequence without a batch axis. The host runs it
with one sample and one branch per call, so a layer's first axis, the tokens, belongs to one stream.
"""

from ...sites import SiteKind
from .access import BlockResidual
from .family import Family, Layer

MINIMAX = Family(
    name="MiniMax H3",
    models="MiniMax H3 (video and sound)",
    model_classes=("comfy.ldm.minimax.model.MiniMaxH3Model",),
    layers=(
        Layer(r"blocks\.\d+\.attn", SiteKind.JOINT_ATTENTION),
        Layer(r"blocks\.\d+\.mlp", SiteKind.FEED_FORWARD),
        Layer(r"blocks\.\d+", SiteKind.BLOCK, BlockResidual(("x",), writes_in_place=True)),
    ),
)

_LAYER = r"diffusion_transformer\.transformer\.layers\.\d+"

MINIMAX_MUSIC = Family(
    name="MiniMax Music",
    models="MiniMax Music 3",
    model_classes=("comfy.ldm.minimax_music.dit.MiniMaxMusic3DiT",),
    layers=(
        Layer(rf"{_LAYER}\.self_attn", SiteKind.SELF_ATTENTION),
        Layer(rf"{_LAYER}\.ff", SiteKind.FEED_FORWARD),
        Layer(_LAYER, SiteKind.BLOCK, BlockResidual(("x",))),
    ),
)
