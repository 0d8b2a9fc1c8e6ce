"""How a site becomes real inside ComfyUI. The only room of the core that knows the host."""

from .attach import attach, detached, network_of
from .compatibility.model_info import ModelInfo
from .evaluation.sampling_scale import timeline_of
from .installation import Listener, attached, last_calibration, last_report

__all__ = [
    "ModelInfo",
    "Listener",
    "attach",
    "attached",
    "detached",
    "last_calibration",
    "last_report",
    "network_of",
    "timeline_of",
]
