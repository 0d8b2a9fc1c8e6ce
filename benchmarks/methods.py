"""The pack's methods, by what tables call them. Needs what the core needs: NumPy."""

from __future__ import annotations

from stepcache.cache_core.methods import METHODS, StepCache

INSIDE = tuple(method.title for method in METHODS if method is not StepCache)
"""Those that act inside the network."""
