"""Trellis2 and Pixal3D (3D)."""

from ...sites import SiteKind
from .family import Family

TRELLIS_2 = Family(
    name="Trellis2",
    models="TRELLIS.2, Pixal3D (3D)",
    model_classes=("comfy.ldm.trellis2.model.Trellis2",),
    lacks=dict.fromkeys(
        (
            SiteKind.SELF_ATTENTION,
            SiteKind.CROSS_ATTENTION,
            SiteKind.FEED_FORWARD,
            SiteKind.BLOCK,
        ),
        "its layers compute sparse tensors, of which nothing can be kept. Step Cache works, on "
        "whole steps",
    ),
)
