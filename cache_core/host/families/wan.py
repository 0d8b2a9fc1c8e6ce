"""Wan 2.1 / 2.2 and its variants. Its self-attention spans frames: one kind, no temporal one."""

from ...sites import SiteKind
from .access import BlockResidual, ModuleForward
from .family import Family, Layer

CAUSAL_WAN = Family(
    name="Causal Wan",
    models="self-forcing Wan",
    model_classes=("comfy.ldm.wan.ar_model.CausalWanModel",),
    has_guidance=False,
    lacks=dict.fromkeys(
        SiteKind,
        "its attention writes keys and values that later frames read, so it must run at every "
        "step. Connect the model past this node; it already samples in few steps",
    ),
)

# InfiniteTalk's patch reads from queries and keys which of two speakers a token belongs to.
READ = ModuleForward(followed_by=("attn1_patch",))

_TWO_BRANCHES = (
    "its blocks compute the pose video and the picture by two functions of their own, never by the "
    "one that could be answered for. Step Cache works, on whole steps"
)

WAN_ANIMATE_2 = Family(
    name="Wan-Animate2",
    models="Wan-Animate2",
    model_classes=("comfy.ldm.wan.model_animate2.WanAnimate2Model",),
    layers=(
        # For the pose video and for the picture, which differ in length. Core's WanAnimate2Cache
        # leaves the first of the two calls out.
        Layer(r"blocks\.\d+\.cross_attn", SiteKind.CROSS_ATTENTION),
        Layer(r"blocks\.\d+\.ffn", SiteKind.FEED_FORWARD),
    ),
    lacks={SiteKind.SELF_ATTENTION: _TWO_BRANCHES, SiteKind.BLOCK: _TWO_BRANCHES},
)

WAN = Family(
    name="Wan",
    models="Wan 2.1 and 2.2: t2v, i2v, VACE, camera, S2V, HuMo, Animate, SCAIL, Dancer",
    model_classes=("comfy.ldm.wan.model.WanModel",),
    layers=(
        Layer(r"(vace_)?blocks\.\d+\.self_attn", SiteKind.SELF_ATTENTION, READ),
        Layer(r"(vace_)?blocks\.\d+\.cross_attn", SiteKind.CROSS_ATTENTION),
        # What attends to sound (S2V, HuMo), music (Dancer) and a face (Animate).
        Layer(r"(audio|music)_injector\.injector\.\d+", SiteKind.CROSS_ATTENTION),
        Layer(r"blocks\.\d+\.audio_cross_attn_wrapper\.audio_cross_attn", SiteKind.CROSS_ATTENTION),
        Layer(r"face_adapter\.fuser_blocks\.\d+", SiteKind.CROSS_ATTENTION),
        Layer(r"(vace_)?blocks\.\d+\.ffn", SiteKind.FEED_FORWARD),
        # A VACE block is none: beside its own stream it returns a hint, which it adds to nothing.
        Layer(
            r"blocks\.\d+",
            SiteKind.BLOCK,
            BlockResidual(("x",), read_by=("audio_injector", "music_injector")),
        ),
    ),
)
