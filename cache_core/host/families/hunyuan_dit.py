"""HunyuanDiT and the shape model of Hunyuan3D 2.1, which is built like it.

Both have long skips from early to late blocks. They are no UNets: every block keeps its width, and
the late ones mix a skip in by themselves, so there is no deep branch to cut.
"""

from torch import nn

from ...sites import SiteKind
from .access import BlockResidual
from .family import Family, Layer

HUNYUAN_DIT = Family(
    name="HunyuanDiT",
    models="HunyuanDiT 1.1, 1.2",
    model_classes=("comfy.ldm.hydit.models.HunYuanDiT",),
    layers=(
        # Attention returns a tuple of one.
        Layer(r"blocks\.\d+\.attn1", SiteKind.SELF_ATTENTION),
        Layer(r"blocks\.\d+\.attn2", SiteKind.CROSS_ATTENTION),
        Layer(r"blocks\.\d+\.mlp", SiteKind.FEED_FORWARD),
        Layer(r"blocks\.\d+", SiteKind.BLOCK, BlockResidual(("x",))),
    ),
)


def _takes_one_branch(network: nn.Module) -> bool:
    """ComfyUI before 0.24 halves every batch, also one of a single row, and fails."""
    return "swap_cfg_halves" in type(network).forward.__code__.co_varnames


HUNYUAN_3D_21 = Family(
    name="Hunyuan3D 2.1",
    models="Hunyuan3D 2.1",
    model_classes=("comfy.ldm.hunyuan3dv2_1.hunyuandit.HunYuanDiTPlain",),
    layers=(
        Layer(r"blocks\.\d+\.attn1", SiteKind.SELF_ATTENTION),
        # The prompt is a picture.
        Layer(r"blocks\.\d+\.attn2", SiteKind.CROSS_ATTENTION),
        # The last blocks have experts instead of one network.
        Layer(r"blocks\.\d+\.(mlp|moe)", SiteKind.FEED_FORWARD),
        Layer(r"blocks\.\d+", SiteKind.BLOCK, BlockResidual(("hidden_states",))),
    ),
    # Of two rows or more, the prompts are exchanged on the way in and the outputs on the way out.
    swaps_halves=True,
    takes_one_branch=_takes_one_branch,
)
