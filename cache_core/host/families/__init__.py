"""Model families as data. Adding one: a file, a line in FAMILIES, a toy configuration."""

from __future__ import annotations

from torch import nn

from .access import Access, BlockResidual, InlinedLayer, ModuleForward, SdpaOnly
from .ace_step import ACE_STEP, ACE_STEP_15
from .aura_flow import AURA_FLOW
from .boogu import BOOGU
from .cascade import STABLE_CASCADE
from .chroma import CHROMA
from .cogvideox import COGVIDEOX
from .cosmos import COSMOS_1, COSMOS_2
from .ernie_image import ERNIE_IMAGE
from .family import CacheFill, Family, Layer
from .flux import FLUX
from .hidream import HIDREAM, HIDREAM_O1
from .hunyuan3d import HUNYUAN3D
from .hunyuan_dit import HUNYUAN_3D_21, HUNYUAN_DIT
from .hunyuan_video import HUNYUAN_VIDEO
from .ideogram4 import IDEOGRAM4
from .joyimage import JOYIMAGE
from .kandinsky5 import KANDINSKY_5
from .krea2 import KREA2
from .lens import LENS
from .ltxv import LTXAV, LTXV
from .lumina2 import LUMINA2
from .mage_flow import MAGE_FLOW
from .minimax import MINIMAX, MINIMAX_MUSIC
from .mochi import MOCHI
from .not_sampled import NOT_SAMPLED
from .omnigen2 import OMNIGEN2
from .pixart import PIXART
from .pixeldit import PIXELDIT
from .qwen_image import QWEN_IMAGE, QWEN_IMAGE_21
from .sd3 import SD3
from .seedvr2 import SEEDVR2
from .stable_audio import STABLE_AUDIO
from .structural import family_by_structure
from .trellis2 import TRELLIS_2
from .triposplat import TRIPOSPLAT
from .unet import UNET
from .wan import CAUSAL_WAN, WAN, WAN_ANIMATE_2

FAMILIES: tuple[Family, ...] = (
    UNET,
    CAUSAL_WAN,
    WAN_ANIMATE_2,
    WAN,
    LTXAV,
    LTXV,
    COSMOS_1,
    COSMOS_2,
    KANDINSKY_5,
    PIXART,
    HUNYUAN_DIT,
    HUNYUAN_3D_21,
    FLUX,
    CHROMA,
    HUNYUAN_VIDEO,
    HUNYUAN3D,
    COGVIDEOX,
    SD3,
    AURA_FLOW,
    BOOGU,
    ERNIE_IMAGE,
    HIDREAM,
    HIDREAM_O1,
    IDEOGRAM4,
    JOYIMAGE,
    KREA2,
    LENS,
    LUMINA2,
    MAGE_FLOW,
    OMNIGEN2,
    QWEN_IMAGE,
    QWEN_IMAGE_21,
    STABLE_CASCADE,
    MOCHI,
    PIXELDIT,
    SEEDVR2,
    MINIMAX,
    MINIMAX_MUSIC,
    ACE_STEP,
    ACE_STEP_15,
    STABLE_AUDIO,
    TRELLIS_2,
    TRIPOSPLAT,
    NOT_SAMPLED,
)
"""Every known family; the first that recognises a model is taken."""


def family_of(diffusion_model: nn.Module) -> Family | None:
    """The family of a network, recognised by its class, or None."""
    return next((family for family in FAMILIES if family.recognises(diffusion_model)), None)


__all__ = [
    "FAMILIES",
    "Access",
    "BlockResidual",
    "CacheFill",
    "SdpaOnly",
    "Family",
    "Layer",
    "ModuleForward",
    "InlinedLayer",
    "family_by_structure",
    "family_of",
]
