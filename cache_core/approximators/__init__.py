"""What is returned instead of computing: one file per approximator."""

from .approximator import Approximator, Reuse
from .branch_mean import BranchMean
from .extrapolate import Extrapolate, ExtrapolateFromCalls
from .forecast import Carried, Forecast
from .guidance import Branch, CopyBranch, FrequencyDelta, SpectralDelta
from .hold import Hold
from .weights import Constant, Rising, Sloped, Weight

__all__ = [
    "Approximator",
    "Branch",
    "BranchMean",
    "Carried",
    "Constant",
    "CopyBranch",
    "Extrapolate",
    "ExtrapolateFromCalls",
    "Forecast",
    "FrequencyDelta",
    "Hold",
    "Reuse",
    "Rising",
    "Sloped",
    "SpectralDelta",
    "Weight",
]
