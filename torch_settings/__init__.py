"""What makes a run fast besides caching: settings on a clone, in force for the length of a run."""

from .attention import AttentionBackend
from .compiling import RegionalCompile
from .fusing import FusedProjections
from .int8 import DynamicInt8
from .precision import Precision, facts_on
from .setting import Setting, apply, settings_of, told_by, without

__all__ = [
    "AttentionBackend",
    "DynamicInt8",
    "FusedProjections",
    "Precision",
    "RegionalCompile",
    "Setting",
    "apply",
    "facts_on",
    "settings_of",
    "told_by",
    "without",
]
