"""The list of nodes that ComfyUI loads."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from ..previews import routes
from .attention_backend import AttentionBackendNode
from .dynamic_int8 import DynamicInt8Node
from .fused_projections import FusedProjectionsNode
from .method_node import MethodNode
from .method_nodes import METHOD_NODES
from .precision import PrecisionNode
from .regional_compile import RegionalCompileNode
from .smoothcache_calibrate import SmoothCacheCalibrate
from .smoothcache_curves import SmoothCacheCurves
from .smoothcache_export import SmoothCacheExport
from .speed_audit import SpeedAudit
from .step_cache_advisor import StepCacheAdvisor
from .step_cache_compare import StepCacheCompare
from .step_cache_compare_runs import StepCacheCompareRuns
from .step_cache_report import StepCacheReport

NODES: tuple[type[io.ComfyNode], ...] = (
    *METHOD_NODES.values(),
    SmoothCacheCalibrate,
    SmoothCacheCurves,
    SmoothCacheExport,
    StepCacheAdvisor,
    StepCacheReport,
    StepCacheCompare,
    StepCacheCompareRuns,
    AttentionBackendNode,
    PrecisionNode,
    FusedProjectionsNode,
    DynamicInt8Node,
    RegionalCompileNode,
    SpeedAudit,
)


def with_strips() -> dict[str, type[MethodNode]]:
    """The nodes that can be asked what they will do, by id."""
    nodes = (node for node in NODES if issubclass(node, MethodNode))
    return {node.define_schema().node_id: node for node in nodes}


class StepCacheExtension(ComfyExtension):
    """All nodes of the pack."""

    async def on_load(self) -> None:
        routes.register(with_strips())

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return list(NODES)
