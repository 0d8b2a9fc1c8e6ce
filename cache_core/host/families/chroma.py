"""Chroma and Chroma Radiance: Flux's blocks, modulated by one network for all of them.

Radiance works on pixels. The layers behind its blocks, which turn tokens into pixels, are called
once for every tile of the picture, and not once in a model call; they are no sites.
"""

from .family import Family
from .flux import DOUBLE_STREAM

CHROMA = Family(
    name="Chroma",
    models="Chroma, Chroma Radiance",
    model_classes=("comfy.ldm.chroma.model.Chroma",),
    layers=DOUBLE_STREAM,
)
