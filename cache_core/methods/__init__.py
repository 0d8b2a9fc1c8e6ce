"""The published methods: name, parameters, paper."""

from .calibrate import Calibrate
from .deepcache import DeepCache
from .fastercache import FasterCache
from .method import CUSTOM, Method, Preset
from .pab import PAB
from .smoothcache import CalibratedSmoothCache, SmoothCache, UniformSmoothCache
from .step_cache import StepCache
from .tgate import TGate

METHODS: tuple[type[Method], ...] = (
    StepCache, DeepCache, PAB, FasterCache, TGate, SmoothCache,
)  # fmt: skip
"""Every method, in the order of the documentation. Whatever lists methods is made of this."""

__all__ = [
    "CUSTOM",
    "METHODS",
    "PAB",
    "Calibrate",
    "CalibratedSmoothCache",
    "DeepCache",
    "FasterCache",
    "Method",
    "Preset",
    "SmoothCache",
    "StepCache",
    "TGate",
    "UniformSmoothCache",
]
