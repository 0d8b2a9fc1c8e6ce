"""Wan 2.1 / 2.2 and its variants. Its self-attention spans frames: one kind, no temporal one."""

from ...sites import SiteKind
from .family import Family

WAN = Family(
    name="Wan",
    model_class="comfy.ldm.wan.model.WanModel",
    attention=(
        (r"(vace_)?blocks\.\d+\.self_attn", SiteKind.SELF_ATTENTION),
        (r"(vace_)?blocks\.\d+\.cross_attn", SiteKind.CROSS_ATTENTION),
    ),
)
