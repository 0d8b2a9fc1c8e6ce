"""The pack's methods, by what tables call them. Needs what the core needs: NumPy."""

import sys
from pathlib import Path

# Last: it must not hide what has the same name.
sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "support"))

import pack

pack.load()

from stepcache.cache_core.methods import METHODS, StepCache  # noqa: E402

INSIDE = tuple(method.title for method in METHODS if method is not StepCache)
"""Those that act inside the network."""
