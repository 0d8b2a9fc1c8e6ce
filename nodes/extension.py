"""The list of nodes that ComfyUI loads."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from .apply_fastercache import ApplyFasterCache
from .apply_pab import ApplyPAB
from .deepcache_unet import DeepCacheUNet
from .smoothcache_calibrate import SmoothCacheCalibrate
from .smoothcache_curves import SmoothCacheCurves
from .smoothcache_export import SmoothCacheExport
from .smoothcache_schedule import SmoothCacheSchedule
from .step_cache_advisor import StepCacheAdvisor
from .step_cache_report import StepCacheReport
from .tgate_gate import TGateGate

NODES: tuple[type[io.ComfyNode], ...] = (
    DeepCacheUNet,
    ApplyPAB,
    ApplyFasterCache,
    TGateGate,
    SmoothCacheSchedule,
    SmoothCacheCalibrate,
    SmoothCacheCurves,
    SmoothCacheExport,
    StepCacheAdvisor,
    StepCacheReport,
)


class StepCacheExtension(ComfyExtension):
    """All nodes of the pack."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return list(NODES)
