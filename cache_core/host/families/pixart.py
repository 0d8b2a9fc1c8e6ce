"""PixArt alpha and sigma. Their blocks get no options of the host, so nothing else patches them."""

from ...sites import SiteKind
from .access import BlockResidual
from .family import Family, Layer

PIXART = Family(
    name="PixArt",
    models="PixArt Alpha, PixArt Sigma",
    model_classes=("comfy.ldm.pixart.pixartms.PixArtMS",),
    layers=(
        Layer(r"blocks\.\d+\.attn", SiteKind.SELF_ATTENTION),
        Layer(r"blocks\.\d+\.cross_attn", SiteKind.CROSS_ATTENTION),
        Layer(r"blocks\.\d+\.mlp", SiteKind.FEED_FORWARD),
        Layer(r"blocks\.\d+", SiteKind.BLOCK, BlockResidual(("x",))),
    ),
)
