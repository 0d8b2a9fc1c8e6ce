"""Networks that ComfyUI carries as models, though nothing is sampled with them."""

from ...sites import SiteKind
from .family import Family

NOT_SAMPLED = Family(
    name="Detector",
    models="RT-DETR, Depth Anything 3, SAM 3",
    model_classes=(
        "comfy.ldm.rt_detr.rtdetr_v4.RTv4",
        "comfy.ldm.depth_anything_3.model.DepthAnything3Net",
        "comfy.ldm.sam3.detector.SAM3Model",
    ),
    has_guidance=False,
    lacks=dict.fromkeys(
        SiteKind,
        "it looks at a picture once instead of sampling one, so no step follows that could reuse "
        "anything. Connect the model past this node",
    ),
)
