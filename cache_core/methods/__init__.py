"""The published methods: name, parameters, paper."""

from .calibrate import Calibrate
from .deepcache import DeepCache
from .fastercache import FasterCache
from .method import CUSTOM, Method, Preset
from .pab import PAB
from .smoothcache import CalibratedSmoothCache, SmoothCache, UniformSmoothCache
from .tgate import TGate

METHODS: tuple[type[Method], ...] = (DeepCache, PAB, FasterCache, TGate, SmoothCache)
"""Every method, in the order in which the documentation lists them."""

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
    "TGate",
    "UniformSmoothCache",
]
