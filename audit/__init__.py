"""One audit of a model: the runs that it takes, what they found, and what to do about it."""

from .audit import Audit, Caching, Recommendation
from .caches import Suggestion
from .runs import Sample, audited
from .text import drawn, text_of

__all__ = [
    "Audit",
    "Caching",
    "Recommendation",
    "Sample",
    "Suggestion",
    "audited",
    "drawn",
    "text_of",
]
