"""Lens. Its blocks are its own, with the names of Qwen-Image's."""

from .family import Family
from .qwen_image import QWEN_BLOCKS

LENS = Family(
    name="Lens",
    models="Lens",
    model_classes=("comfy.ldm.lens.model.LensTransformer2DModel",),
    layers=QWEN_BLOCKS,
)
