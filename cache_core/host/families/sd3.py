"""Stable Diffusion 3 and 3.5."""

from ...sites import SiteKind
from .access import BlockResidual, InlinedLayer
from .family import Family, Layer


def _parts(*names: str) -> tuple[str, ...]:
    # SD3.5 medium has a second attention beside the joint one, over the picture alone.
    places = ("x_block.attn", "context_block.attn", "x_block.attn2")
    return tuple(f"{place}.{name}" for place in places for name in names)


SD3 = Family(
    name="SD3",
    models="SD3, SD3.5 medium and large",
    model_classes=("comfy.ldm.modules.diffusionmodules.mmdit.MMDiT",),
    layers=(
        Layer(
            r"joint_blocks\.\d+",
            SiteKind.JOINT_ATTENTION,
            InlinedLayer(
                inputs=_parts("qkv"),
                outputs=_parts("proj"),
                passed=_parts("ln_q", "ln_k"),
            ),
        ),
        Layer(r"joint_blocks\.\d+\.(x|context)_block\.mlp", SiteKind.FEED_FORWARD),
        Layer(r"joint_blocks\.\d+", SiteKind.BLOCK, BlockResidual(("context", "x"))),
    ),
)
