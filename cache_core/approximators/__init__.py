"""What is returned instead of computing: one file per approximator."""

from .approximator import Approximator, Reuse
from .branch_mean import BranchMean
from .extrapolate import Extrapolate
from .forecast import Carried, Forecast
from .guidance import Branch, CopyBranch, FrequencyDelta
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
    "Forecast",
    "FrequencyDelta",
    "Hold",
    "Reuse",
    "Rising",
    "Sloped",
    "Weight",
]
