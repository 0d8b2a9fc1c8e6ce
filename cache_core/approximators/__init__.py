"""What is returned instead of computing: one file per approximator."""

from .approximator import Approximator
from .hold import Hold

__all__ = ["Approximator", "Hold"]
