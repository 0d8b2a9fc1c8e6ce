"""Mage-Flow, on Qwen-Image's blocks."""

from .family import Family
from .qwen_image import QWEN_BLOCKS

MAGE_FLOW = Family(
    name="Mage-Flow",
    models="Mage-Flow",
    model_classes=("comfy.ldm.mage_flow.model.MageFlowTransformer2DModel",),
    layers=QWEN_BLOCKS,
)
