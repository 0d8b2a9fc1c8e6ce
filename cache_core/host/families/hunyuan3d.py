"""Hunyuan3D 2.0: Flux's blocks on a set of shape tokens, without positions."""

from .family import Family
from .flux import DOUBLE_STREAM

HUNYUAN3D = Family(
    name="Hunyuan3D",
    models="Hunyuan3D 2.0, mini, multiview",
    model_classes=("comfy.ldm.hunyuan3d.model.Hunyuan3Dv2",),
    layers=DOUBLE_STREAM,
)
