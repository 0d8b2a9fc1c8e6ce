"""The published methods: name, parameters, paper."""

from .deepcache import DeepCache
from .method import Method
from .pab import PAB

METHODS: tuple[type[Method], ...] = (DeepCache, PAB)
"""Every method, in the order in which the documentation lists them."""

__all__ = ["METHODS", "PAB", "DeepCache", "Method"]
