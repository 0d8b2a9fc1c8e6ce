"""One audit of a model: the runs that it takes, what they found, and what to do about it."""

from .audit import Audit, Caching, Recommendation
from .runs import Sample, audited
from .words import drawn, text_of

__all__ = ["Audit", "Caching", "Recommendation", "Sample", "audited", "drawn", "text_of"]
