"""Wan 2.1 / 2.2 and its variants. Its self-attention spans frames: one kind, no temporal one."""

from ...sites import SiteKind
from .family import Family

CAUSAL_WAN = Family(
    name="Causal Wan",
    model_class="comfy.ldm.wan.ar_model.CausalWanModel",
    has_guidance=False,
    no_attention_because=(
        "its attention writes keys and values that later frames read, so it must run at every "
        "step. Connect the model past this node; it already samples in few steps"
    ),
)

WAN = Family(
    name="Wan",
    model_class="comfy.ldm.wan.model.WanModel",
    layers=(
        (r"(vace_)?blocks\.\d+\.self_attn", SiteKind.SELF_ATTENTION),
        (r"(vace_)?blocks\.\d+\.cross_attn", SiteKind.CROSS_ATTENTION),
        (r"(vace_)?blocks\.\d+\.ffn", SiteKind.FEED_FORWARD),
    ),
)
